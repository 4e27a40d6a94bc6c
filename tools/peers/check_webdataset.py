"""Tar shards, case by case: the samples that the webdataset package yields beside
those that our reader takes.

check_webdataset.py BUILD: Python needs webdataset (1.0.2 was the release when this
was written) and numpy; BUILD has list_images. Every case is an archive made here,
of one of the forms that are met. The two must agree in the images, their order and
their labels, except where the case says how ours differs and why; those reasons
are the list of deliberate differences in docs/data-formats.md. Exit status 1: a
difference that no case states, or a stated one that is gone.

Of a sample of webdataset's, the image is what docs/data-formats.md says: KEY.jpg,
.jpeg, .png, .webp, .jpe or .jfif, else the file of the best of these after its last
dot; the label is int(KEY.cls), as webdataset decodes it.
"""
import bz2
import gzip
import importlib.metadata
import io
import lzma
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import webdataset

READ = ('jpg', 'jpeg', 'png', 'webp', 'jpe', 'jfif')
JPEG = b'\xff\xd8\xff\xe0'


def image(number):
    return JPEG + b'image %d' % number


class Tar:
    """An archive in memory."""

    def __init__(self, format=tarfile.USTAR_FORMAT):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode='w', format=format)

    def add(self, name, data=b'', type=tarfile.REGTYPE, link='', pax=None):
        info = tarfile.TarInfo(name)
        info.size = len(data) if type == tarfile.REGTYPE else 0
        info.type, info.linkname = type, link
        info.pax_headers = pax or {}
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


def tar(*members, **options):
    """Of (name, bytes); an int stands for an image, text for itself."""
    t = Tar(**options)
    for name, data in members:
        t.add(name, image(data) if isinstance(data, int) else
              data.encode() if isinstance(data, str) else data)
    return t.done()


def names(count, pattern, first=0):
    return [(pattern.format(i), i + first) for i in range(count)]


CASES = []


def case(name, archive, ours=None, why='', suffix='.tar', key=''):
    """ours: [(image, label)], or the text that its error contains; None: as
    webdataset."""
    assert (ours is None) == (why == '')
    CASES.append((name, archive, ours, why, suffix, key))


def make_cases():
    both = tar(('a.jpg', 1), ('a.cls', '3'), ('b.jpg', 2), ('b.cls', '4'))
    case('plain', both)
    case('directories in names', tar(('x/a.jpg', 1), ('x/a.cls', '0'), ('y.z/a.jpg', 2), ('y.z/a.cls', '1')))
    case('./ before names', tar(('./a.jpg', 1), ('./a.cls', '1'), ('./x/b.jpg', 2), ('./x/b.cls', '0')))
    case('absolute names', tar(('/a.jpg', 1), ('/x/b.jpg', 2)))
    case('label before image', tar(('a.cls', '3'), ('a.jpg', 1), ('b.cls', '4'), ('b.jpg', 2)))
    case('upper case', tar(('A.JPG', 1), ('A.CLS', '2'), ('B.Jpeg', 2), ('B.cls', '0')))
    case('png, webp, jfif, jpe', tar(('a.png', 1), ('b.webp', 2), ('c.jfif', 3), ('d.jpe', 4)))
    case('depth before jpg', tar(('a.depth.png', 9), ('a.jpg', 1), ('b.depth.png', 8), ('b.jpg', 2)))
    case('jpg and png', tar(('a.png', 9), ('a.jpg', 1)))
    case('one image under another suffix', tar(('a.input.jpg', 1), ('b.input.jpg', 2)))
    case('several, none plain', tar(('a.0.jpg', 1), ('a.1.jpg', 9), ('b.seg.png', 9), ('b.rgb.jpg', 2)))
    case('names with dots', tar(*names(8, 'v1.{}.jpg')))
    case('names with dots, #all', tar(*names(8, 'v1.{}.jpg'), ('v2.5.x.jpg', 8), ('v2.5.x.cls', '4')),
         key='#all', ours=[(i, -1) for i in range(8)] + [(8, 4)],
         why='PATH#all cuts names at their last dot')
    case('a choice by key', tar(('a.jpg', 9), ('a.rgb.png', 1), ('b.jpg', 9), ('b.RGB.png', 2), ('c.jpg', 9)),
         key='#rgb.png', ours=[(1, -1), (2, -1)], why='PATH#rgb.png takes KEY.rgb.png')
    case('other formats inside', tar(('a.npy', b'\x93NUMPY'), ('a.json', '{}'), ('a.txt', 'a cat'), ('a.jpg', 1),
                                     ('a.pkl', b'\x80\x04.'), ('b.jpg', 2), ('b.mp4', b'x')))
    case('samples without an image', tar(('a.json', '{}'), ('b.jpg', 2), ('c.txt', 'x')))
    case('samples without an extension', tar(('README', 'x'), ('a.jpg', 1), ('n01/b', 2)))
    case('meta files', tar(('__info__', 'x'), ('__x__/a.jpg', 9), ('a.jpg', 1)))
    case('a picture of a format that is not read', tar(('a.tif', 9), ('a.depth.png', 8), ('b.jpg', 2)),
         ours=[(2, -1)], why='KEY.tif is the image, and is not read: left out, not replaced by the depth map')
    case('members apart', tar(('a.jpg', 1), ('b.jpg', 2), ('a.cls', '1'), ('b.cls', '0')))
    case('a key again', tar(('a.jpg', 1), ('b.jpg', 2), ('a.jpg', 3)))
    case('a name twice', tar(('a.jpg', 1), ('a.jpg', 2), ('b.jpg', 3)), ours=[(1, -1), (3, -1)],
         why='the first is taken; webdataset ends with an error')
    case('JPG and jpg', tar(('a.JPG', 1), ('a.jpg', 2), ('b.jpg', 3)), ours=[(1, -1), (3, -1)],
         why='the first is taken; webdataset ends with an error')
    t = Tar()
    t.add('a.jpg', image(1)).add('b.jpg', type=tarfile.LNKTYPE, link='a.jpg')
    t.add('c.jpg', type=tarfile.SYMTYPE, link='a.jpg').add('d', type=tarfile.DIRTYPE)
    case('links and folders', t.add('d/e.jpg', image(2)).done())
    case('joined end to end', both + tar(('c.jpg', 5)), ours=[(1, 3), (2, 4), (5, -1)],
         why='joined archives are read as one; webdataset stops after the first')
    case('a block of zeros inside', tar(('a.jpg', 1))[:1024] + bytes(512) + tar(('b.jpg', 2)), ours=[(1, -1), (2, -1)],
         why='joined archives are read as one; webdataset stops after the first')
    case('bytes after the end', both + b'garbage' * 200)
    case('no end mark', both[:4 * 1024])
    case('no archive but zeros', bytes(10240), ours='has no image',
         why='a set without any image is an error')
    case('empty file', b'', ours='has no image', why='a set without any image is an error')
    case('gzip', gzip.compress(both), ours='gzip -dc', suffix='.tar.gz', why='no random access: to be unpacked')
    case('gzip as .tar', gzip.compress(both), ours='gzip -dc', why='no random access: to be unpacked')
    case('bzip2', bz2.compress(both), ours='bzip2 -dc', suffix='.tar.bz2', why='no random access: to be unpacked')
    case('xz as .tar', lzma.compress(both), ours='xz -dc', why='no random access: to be unpacked')
    long = 'd' * 70 + '/' + 'n' * 90
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        case(f'long names, format {format}', tar((long + '1.jpg', 1), (long + '1.cls', '1'), (long + '2.jpg', 2),
                                                 (long + '2.cls', '0'), format=format))
    case('names past 255 bytes', tar(('x' * 300 + '.jpg', 1), ('y' * 300 + '.jpg', 2), format=tarfile.PAX_FORMAT))
    case('names that are not ASCII', tar(('été/猫.jpg', 1), ('été/猫.cls', '1'), ('ж.jpg', 2), format=tarfile.PAX_FORMAT))
    t = Tar(tarfile.PAX_FORMAT)
    for i in (1, 2):
        t.add(f'a{i}.jpg', image(i), pax={'LIBARCHIVE.xattr.com.apple.quarantine': 'MDA4MQ', 'mtime': '1.5'})
    case('extended attributes', t.done())
    case('hidden files', tar(('.DS_Store', 'x'), ('._a.jpg', 9), ('a.jpg', 1), ('a.cls', '1')))
    case('hidden files in folders', tar(('d/._a.jpg', 9), ('d/a.jpg', 1), ('d/._a.cls', 'x'), ('d/a.cls', '1')),
         ours=[(1, 1)], why="files that begin with a dot are passed over; webdataset takes '_a.jpg' of a sample "
                            "'d/', and parts the sample d/a")
    case('hidden files of a whole macOS archive', tar(('d/._a.jpg', 9), ('d/a.jpg', 1), ('d/._b.jpg', 8), ('d/b.jpg', 2)),
         ours=[(1, -1), (2, -1)], why='files that begin with a dot are passed over')
    case('thumbnails of a NAS', tar(('d/a.jpg', 1), ('d/@eaDir/a.jpg/THUMB_M.jpg', 9), ('d/b.jpg', 2)),
         ours=[(1, -1), (2, -1)], why='folders of operating systems are left out')
    case('cut inside a file', both[:512 + 8], ours='is cut short', why='an error in both, ours before the start')
    case('cut inside a header', both[:1024 + 200], ours='damaged after',
         why='an error; webdataset ends in silence')
    bad = bytearray(both)
    bad[1024] ^= 1
    case('a damaged header', bytes(bad), ours='damaged after', why='an error; webdataset ends in silence')
    case('no archive', b'version https://git-lfs.github.com/spec/v1\n' * 20, ours='Git LFS pointer', why='an error in both')
    sparse = bytearray(tar(('a.jpg', 1), ('b.jpg', 2)))
    sparse[156:157] = b'S'
    sparse[257:512] = bytes(255)
    sparse[257:265] = b'ustar  \0'
    sparse[386:410] = b'%011o\0%011o\0' % (0, len(image(1)))
    sparse[483:495] = b'%011o\0' % 5000
    sparse[148:156] = b' ' * 8
    sparse[148:156] = b'%06o\0 ' % sum(sparse[:512])
    case('a sparse file', bytes(sparse), ours=[(2, -1)], why='sparse files are left out: they do not lie in one piece')
    for label in (' 3\n', '+3', '003', '\t3\r\n'):
        case(f'label {label!r}', tar(('a.jpg', 1), ('a.cls', label)))
    case('label 3.0', tar(('a.jpg', 1), ('a.cls', '3.0')), ours=[(1, 3)], why='a number; an error in webdataset')
    case('label -1', tar(('a.jpg', 1), ('a.cls', '-1'), ('b.jpg', 2), ('b.cls', '1')))
    case('label of nothing', tar(('a.jpg', 1), ('a.cls', '\n'), ('b.jpg', 2), ('b.cls', '1')), ours=[(1, -1), (2, 1)],
         why='no label; an error in webdataset')
    case('labels that are names', tar(('a.jpg', 1), ('a.cls', 'n02\n'), ('b.jpg', 2), ('b.cls', 'n01')),
         ours=[(1, 1), (2, 0)], why='classes by name, sorted; an error in webdataset')
    case('label 1_0', tar(('a.jpg', 1), ('a.cls', '1_0'), ('b.jpg', 2), ('b.cls', '1')), ours=[(1, -1), (2, 1)],
         why="no label: Python's underscores in numbers are not read")
    case('labels of JSON', tar(('a.jpg', 1), ('a.cls', '{"label": 3}'), ('b.jpg', 2), ('b.cls', '1')),
         ours=[(1, -1), (2, 1)], why='no label; an error in webdataset')
    case('numbers and names', tar(('a.jpg', 1), ('a.cls', 'cat'), ('b.jpg', 2), ('b.cls', '1')),
         ours=[(1, -1), (2, -1)], why='no labels; an error in webdataset')
    case('a label of some', tar(('a.jpg', 1), ('b.jpg', 2), ('b.cls', '1')))
    case('captions', tar(('a.jpg', 1), ('a.txt', 'a cat'), ('b.jpg', 2), ('b.txt', 'a dog')))
    case('json labels', tar(('a.jpg', 1), ('a.json', '{"label": 3}')))


def the_image(sample):
    for suffix in READ:
        if suffix in sample:
            return sample[suffix]
    rest = [(READ.index(s.split('.')[-1]), i, v) for i, (s, v) in enumerate(sample.items())
            if s.split('.')[-1] in READ]
    return min(rest)[2] if rest else None


def theirs(path):
    """[(image, label)] and the error that ended it, or ''."""
    found = []
    try:
        for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
            picture = the_image({k: v for k, v in sample.items() if not k.startswith('__')})
            if picture is None:
                continue
            found.append((picture, int(sample['cls']) if 'cls' in sample else -1))
    except Exception as error:  # of many kinds
        return found, f'{type(error).__name__}: {error}'.splitlines()[0]
    return found, ''


def ours(build, path):
    run = subprocess.run([build / 'list_images', path], capture_output=True)
    found = []
    for line in run.stdout.split(b'\n')[:-1]:
        _, label, _, data = line.split(b'\t')
        found.append((bytes.fromhex(data.decode()), int(label)))
    return found, '' if run.returncode == 0 else run.stderr.decode()


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    make_cases()
    failures = differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, archive, expected, why, suffix, key) in enumerate(CASES):
            path = pathlib.Path(folder) / f'c{number}-000000{suffix}'
            path.write_bytes(archive)
            they, their_error = theirs(path)
            we, our_error = ours(build, f'{path}{key}')
            same = (we, bool(our_error)) == (they, bool(their_error))
            if expected is None:
                good = same and not our_error
            elif isinstance(expected, str):
                good = expected in our_error and our_error.count('\n') == 1
            else:
                good = not our_error and we == [(image(i), label) for i, label in expected] and not same
            differences += expected is not None
            failures += not good
            print(f"{'ok    ' if good else 'FAILED'} {name}" + (f': {why}' if why else ''))
            if not good:
                print(f'  webdataset: {they} {their_error}\n  ours:       {we} {our_error}')
    print(f"webdataset {importlib.metadata.version('webdataset')}: {len(CASES)} cases, {differences} differ "
          f'as stated, {failures} failed')
    sys.exit(failures > 0)


main()
