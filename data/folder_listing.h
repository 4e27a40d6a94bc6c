#pragma once
// The images below a folder. docs/data-formats.md ("Folders and lists") tells
// users these rules:
//  - A file is an image by its extension (those of data/picture_format.h that are
//    read) without being opened; one with the extension of another picture format,
//    without an extension or with a number for one is opened to see; of files with
//    any other extension the first is, and when it is an image, all are.
//  - Names that begin with a dot, folders of operating systems (__MACOSX, @eaDir,
//    lost+found, ...) and unfinished downloads (x.jpg.part) are passed over.
//  - Folders that our programs write (runs, features) are passed over.
//  - Links are followed, but not to a folder above; a folder that a link reaches
//    again within one class folder is listed once.

#include <string>

#include "data/index_cache.h"
#include "data/sample_table.h"

namespace music::data {

// Images in class folders come first, in os.walk's order (the files of a folder
// before those of its sub-folders, sorted); then, without a label, those directly
// in it. classes names all of its folders, also those without an image; it is
// empty when none has one. What was passed over stands in notes.
//
// Throws Error kData for a folder that cannot be listed, and for one without any
// image: it says what was found instead.
SampleTable list_images(const std::string& path, IndexCache& cache);

}  // namespace music::data
