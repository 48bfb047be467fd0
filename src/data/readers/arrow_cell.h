#pragma once

#include <cstdint>
#include <string>

namespace arrow {
class Array;
class DataType;
}  // namespace arrow

namespace lockstep::data {

/// Returns true for strings of every layout, numbers, booleans, dictionaries of these, and columns of nulls.
bool has_text(const arrow::DataType& type);

/// Returns the text of a cell that is not null, of a type for which has_text() is true. Numbers and booleans become
/// their JSON text. Floats are printed as by Python's json.dumps, except for NaN and infinities ("nan", "inf"), for
/// which JSON has no text.
std::string cell_text(const arrow::Array& array, std::int64_t row);

/// Returns true if the cell is null, or refers to a null value of a dictionary.
bool is_null(const arrow::Array& array, std::int64_t row);

}  // namespace lockstep::data
