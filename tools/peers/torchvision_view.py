"""A view as torchvision and Pillow make it, from parameters that were drawn."""
import torchvision.transforms as T
import torchvision.transforms.functional as F
from PIL import ImageFilter, ImageOps

JITTER = ['brightness', 'contrast', 'saturation', 'hue']


def draw_crop(image):
    """x, y, width, height."""
    y, x, h, w = T.RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
    return x, y, w, h


def draw_jitter():
    """The order of the operations, as numbers in JITTER, and the factor of each."""
    order, *factors = T.ColorJitter.get_params(
        (0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1))
    return order.tolist(), factors


def make_view(image, crop, size, mode, flip, order, factors, gray, sigma, solar):
    """flip, gray, solar: whether; sigma: of the blur, 0 for none."""
    x, y, w, h = crop
    out = F.resized_crop(image, y, x, h, w, [size, size], mode)
    if flip:
        out = F.hflip(out)
    for op in order:
        out = getattr(F, 'adjust_' + JITTER[op])(out, factors[op])
    if gray:
        out = F.to_grayscale(out, num_output_channels=3)
    if sigma:
        out = out.filter(ImageFilter.GaussianBlur(radius=sigma))
    return ImageOps.solarize(out) if solar else out
