#include "data/readers/arrow_cell.h"

#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>
#include <fmt/format.h>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

template <typename ArrayType>
auto value(const arrow::Array& array, std::int64_t row) {
  return static_cast<const ArrayType&>(array).Value(row);
}

template <typename ArrayType>
std::string text(const arrow::Array& array, std::int64_t row) {
  return std::string(static_cast<const ArrayType&>(array).GetView(row));
}

// Returns the shortest digits that round-trip. A whole number keeps its ".0".
template <typename Float>
std::string float_text(Float number) {
  std::string digits = fmt::to_string(number);
  if (digits.find_first_not_of("-0123456789") == std::string::npos) digits += ".0";
  return digits;
}

const arrow::DictionaryArray& as_dictionary(const arrow::Array& array) {
  return static_cast<const arrow::DictionaryArray&>(array);
}

}  // namespace

bool has_text(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return has_text(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  return arrow::is_string(type.id()) || type.id() == arrow::Type::STRING_VIEW || arrow::is_numeric(type.id()) ||
         arrow::is_decimal(type.id()) || type.id() == arrow::Type::BOOL || type.id() == arrow::Type::NA;
}

std::string cell_text(const arrow::Array& array, std::int64_t row) {
  using arrow::Type;
  switch (array.type_id()) {
    case Type::STRING:
      return text<arrow::StringArray>(array, row);
    case Type::LARGE_STRING:
      return text<arrow::LargeStringArray>(array, row);
    case Type::STRING_VIEW:
      return text<arrow::StringViewArray>(array, row);
    case Type::BOOL:
      return value<arrow::BooleanArray>(array, row) ? "true" : "false";
    case Type::INT8:
      return fmt::to_string(static_cast<int>(value<arrow::Int8Array>(array, row)));
    case Type::UINT8:
      return fmt::to_string(static_cast<int>(value<arrow::UInt8Array>(array, row)));
    case Type::INT16:
      return fmt::to_string(value<arrow::Int16Array>(array, row));
    case Type::UINT16:
      return fmt::to_string(value<arrow::UInt16Array>(array, row));
    case Type::INT32:
      return fmt::to_string(value<arrow::Int32Array>(array, row));
    case Type::UINT32:
      return fmt::to_string(value<arrow::UInt32Array>(array, row));
    case Type::INT64:
      return fmt::to_string(value<arrow::Int64Array>(array, row));
    case Type::UINT64:
      return fmt::to_string(value<arrow::UInt64Array>(array, row));
    case Type::HALF_FLOAT:
      return float_text(arrow::util::Float16::FromBits(value<arrow::HalfFloatArray>(array, row)).ToFloat());
    case Type::FLOAT:
      return float_text(value<arrow::FloatArray>(array, row));
    case Type::DOUBLE:
      return float_text(value<arrow::DoubleArray>(array, row));
    case Type::DECIMAL32:
      return static_cast<const arrow::Decimal32Array&>(array).FormatValue(row);
    case Type::DECIMAL64:
      return static_cast<const arrow::Decimal64Array&>(array).FormatValue(row);
    case Type::DECIMAL128:
      return static_cast<const arrow::Decimal128Array&>(array).FormatValue(row);
    case Type::DECIMAL256:
      return static_cast<const arrow::Decimal256Array&>(array).FormatValue(row);
    case Type::DICTIONARY: {
      const auto& dictionary = as_dictionary(array);
      return cell_text(*dictionary.dictionary(), dictionary.GetValueIndex(row));
    }
    default:
      throw Error(fmt::format("a cell of the type {} has no text", array.type()->ToString()));
  }
}

bool is_null(const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) return true;
  if (array.type_id() != arrow::Type::DICTIONARY) return false;
  const auto& dictionary = as_dictionary(array);
  return is_null(*dictionary.dictionary(), dictionary.GetValueIndex(row));
}

}  // namespace lockstep::data
