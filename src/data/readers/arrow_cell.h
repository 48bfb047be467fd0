#pragma once

#include <cstdint>
#include <string>

namespace arrow {
class Array;
class DataType;
}  // namespace arrow

namespace lockstep::data {

/// True for strings of every layout, numbers, booleans, and dictionaries of these (and columns of nulls).
bool has_text(const arrow::DataType& type);

/// The text of a cell that is not null, of a type that has one. Numbers and booleans become their JSON text, a float as
/// Python's json.dumps writes it, but "nan" and "inf", for which JSON has no text.
std::string cell_text(const arrow::Array& array, std::int64_t row);

/// True if the cell is null, in a dictionary's values too.
bool is_null(const arrow::Array& array, std::int64_t row);

}  // namespace lockstep::data
