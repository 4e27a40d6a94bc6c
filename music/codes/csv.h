#pragma once
// Tables as text: RFC 4180, with what programs make of it.
//
//  - Fields are cut at commas; at semicolons or tabs where the first line has more
//    of those.
//  - A field in double quotes may hold anything, a doubled quote for a quote; of
//    others blanks around them do not count.
//  - Lines end in \n, \r\n or \r; empty ones do not count, nor does a byte order
//    mark at the start.
// The CSV libraries of Debian read fields a program knows when it is compiled
// (libfccp-dev), or by callbacks of single fields without these rules (libcsv).

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace music {

// line: where the row begins, from 1. fields: valid during the call.
using CsvRow =
    std::function<void(std::int64_t line, std::span<const std::string> fields)>;

// name: of the file, for messages. Throws kData, in one line, for a row of
// another number of fields than the first, a quote that is not closed or goes on
// behind its end, bytes that are no text (a NUL), and text without a row.
void read_csv(std::string_view text, const std::string& name, const CsvRow& row);

}  // namespace music
