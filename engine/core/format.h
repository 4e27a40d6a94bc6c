#pragma once
// fmt, with its formatter taken from libfmt: fmt 9 would compile one more copy
// in every source that logs. (Clang mangles its name otherwise than GCC.)

#include <fmt/format.h>

#if FMT_VERSION < 100000 && !defined(FMT_HEADER_ONLY) && !defined(__clang__)
extern template void fmt::detail::vformat_to<char>(fmt::detail::buffer<char>&,
                                                   fmt::string_view,
                                                   fmt::format_args,
                                                   fmt::detail::locale_ref);
#endif
