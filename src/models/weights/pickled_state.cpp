#include "models/weights/pickled_state.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>

#include "lockstep/core/error.h"

namespace lockstep::models {
namespace {

struct Sequence;
struct Dictionary;
struct Mark {};
struct Nothing {};
struct Constructor {
  enum class Kind { kDictionary, kTensor, kParameter } kind;
};
struct Storage {
  c10::ScalarType type;
  std::string_view key;
  std::int64_t numbers;
};

// Containers live in the reader's arenas, so that cyclic or very deeply nested ones are freed without recursion.
using Value = std::variant<Nothing, Mark, std::int64_t, std::string_view, c10::ScalarType, Constructor, Storage,
                           const Sequence*, Dictionary*, const PickledTensor*>;

struct Sequence {
  std::vector<Value> items;
};
struct Dictionary {
  std::vector<std::pair<Value, Value>> items;
};

[[noreturn]] void refuse(const std::string& why) { throw InputError(why); }

constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 10> kStorages{{
    {"FloatStorage", c10::ScalarType::Float},
    {"HalfStorage", c10::ScalarType::Half},
    {"BFloat16Storage", c10::ScalarType::BFloat16},
    {"DoubleStorage", c10::ScalarType::Double},
    {"LongStorage", c10::ScalarType::Long},
    {"IntStorage", c10::ScalarType::Int},
    {"ShortStorage", c10::ScalarType::Short},
    {"CharStorage", c10::ScalarType::Char},
    {"ByteStorage", c10::ScalarType::Byte},
    {"BoolStorage", c10::ScalarType::Bool},
}};

Value find_global(std::string_view module, std::string_view name) {
  using Kind = Constructor::Kind;
  if (module == "collections" && name == "OrderedDict") return Constructor{Kind::kDictionary};
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") return Constructor{Kind::kTensor};
  if (module == "torch._utils" && name == "_rebuild_parameter") return Constructor{Kind::kParameter};
  if (module == "torch") {
    const auto* found = std::ranges::find(kStorages, name, &std::pair<std::string_view, c10::ScalarType>::first);
    if (found != kStorages.end()) return found->second;
  }
  refuse(
      fmt::format("it names '{}.{}', which does not belong in a state dict of tensors; nothing was executed; if you "
                  "trust the file, save the model as safetensors",
                  module, name));
}

constexpr std::size_t kMostDimensions = 64;  // LibTorch's limit for a tensor
constexpr std::int64_t kLargestItem = 8;     // bytes

template <class Type>
const Type& expect(const Value& value, const char* what) {
  const auto* found = std::get_if<Type>(&value);
  if (found == nullptr) refuse(fmt::format("its pickle has another value where {} belongs", what));
  return *found;
}

const std::vector<Value>& expect_items(const Value& value, std::size_t least, const char* what) {
  const auto& items = expect<const Sequence*>(value, what)->items;
  if (items.size() < least) refuse(fmt::format("its pickle has {} values where {} belongs", items.size(), what));
  return items;
}

std::vector<std::int64_t> expect_counts(const Value& value, const char* what) {
  const auto& items = expect_items(value, 0, what);
  // The memo can recall one tuple a million times, so tensors with a million sizes each would exhaust the memory.
  if (items.size() > kMostDimensions) refuse(fmt::format("a tensor has {} {}s", items.size(), what));
  std::vector<std::int64_t> counts;
  for (const Value& item : items) {
    counts.push_back(expect<std::int64_t>(item, what));
    if (counts.back() < 0) refuse(fmt::format("a tensor has the {} {}", what, counts.back()));
  }
  return counts;
}

void check_extent(const PickledTensor& tensor) {
  if (tensor.sizes.size() != tensor.strides.size()) refuse("a tensor has different numbers of strides and sizes");
  std::int64_t numbers = 1, last = tensor.offset;
  std::int64_t strided = kLargestItem;  // bytes if sizes of 0 were 1: LibTorch computes this product, too
  bool overflows = false;
  for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
    std::int64_t step = 0;
    overflows |= __builtin_mul_overflow(numbers, tensor.sizes[i], &numbers);
    overflows |= __builtin_mul_overflow(strided, std::max<std::int64_t>(tensor.sizes[i], 1), &strided);
    overflows |= __builtin_mul_overflow(std::max<std::int64_t>(tensor.sizes[i] - 1, 0), tensor.strides[i], &step);
    overflows |= __builtin_add_overflow(last, step, &last);
  }
  if (overflows || tensor.offset < 0 || tensor.offset > tensor.storage_numbers ||
      (numbers > 0 && last >= tensor.storage_numbers)) {
    refuse(fmt::format("a tensor of shape [{}], strides [{}] and offset {} exceeds its storage of {} numbers",
                       fmt::join(tensor.sizes, ", "), fmt::join(tensor.strides, ", "), tensor.offset,
                       tensor.storage_numbers));
  }
}

// Implements the stack machine of pickle, protocols 2 to 5. Python's pickletools documents the opcodes.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::map<std::string, PickledTensor> read() {
    while (step(static_cast<unsigned char>(take(1)[0]))) {
    }
    std::map<std::string, PickledTensor> state;
    for (const auto& [key, value] : expect<Dictionary*>(pop(), "a state dict")->items) {
      const std::string name(expect<std::string_view>(key, "a tensor's name"));
      const auto* tensor = std::get_if<const PickledTensor*>(&value);
      if (tensor == nullptr) refuse(fmt::format("'{}' is not a tensor", name));
      if (!state.emplace(name, **tensor).second) refuse(fmt::format("it has the tensor '{}' twice", name));
    }
    return state;
  }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - place_) refuse("its pickle ends too early");
    const std::string_view taken = bytes_.substr(place_, count);
    place_ += count;
    return taken;
  }

  template <class Number>
  Number take_number() {  // little-endian, like this machine
    Number number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }

  std::string_view take_line() {
    const auto end = bytes_.find('\n', place_);
    if (end == std::string_view::npos) refuse("its pickle ends too early");
    const std::string_view line = take(end - place_);
    take(1);
    return line;
  }

  std::int64_t take_long() {
    const std::string_view digits = take(take_number<std::uint8_t>());
    if (digits.size() > sizeof(std::int64_t)) refuse("its pickle has a number beyond 64 bits");
    std::int64_t number = 0;
    if (!digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80U) != 0) number = -1;
    if (!digits.empty()) std::memcpy(&number, digits.data(), digits.size());
    return number;
  }

  void push(Value value) { stack_.push_back(value); }

  Value pop() {
    if (stack_.empty() || std::holds_alternative<Mark>(stack_.back())) refuse("its pickle pops more than it pushed");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }

  const Value& top() const {
    if (stack_.empty()) refuse("its pickle pops more than it pushed");
    return stack_.back();
  }

  // Pops the last mark and returns the values that were pushed after it.
  std::vector<Value> pop_to_mark() {
    const auto mark = std::find_if(stack_.rbegin(), stack_.rend(),
                                   [](const Value& value) { return std::holds_alternative<Mark>(value); });
    if (mark == stack_.rend()) refuse("its pickle pops more than it pushed");
    std::vector<Value> values(mark.base(), stack_.end());
    stack_.erase(mark.base() - 1, stack_.end());
    return values;
  }

  std::vector<Value> pop_values(std::size_t count) {
    std::vector<Value> values(count);
    while (count > 0) values[--count] = pop();
    return values;
  }

  void push_sequence(std::vector<Value> values) {
    sequences_.push_back({std::move(values)});
    push(&sequences_.back());
  }

  void push_dictionary() {
    dictionaries_.emplace_back();
    push(&dictionaries_.back());
  }

  // Lists occur only in attributes, which are ignored; appended values are therefore dropped.
  void check_list() const { expect<const Sequence*>(top(), "a list"); }

  void set_items(const std::vector<Value>& values) {
    if (values.size() % 2 != 0) refuse("its pickle has a key without a value");
    Dictionary* dictionary = expect<Dictionary*>(top(), "a dict");
    for (std::size_t i = 0; i < values.size(); i += 2) dictionary->items.emplace_back(values[i], values[i + 1]);
  }

  void remember(std::uint32_t place) { memo_[place] = top(); }

  void recall(std::uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) refuse("its pickle recalls a value that it never stored");
    push(found->second);
  }

  // ('storage', torch.FloatStorage, key, device, numbers)
  void push_storage(const Value& description) {
    const auto& items = expect_items(description, 5, "a storage");
    if (expect<std::string_view>(items[0], "a storage") != "storage") refuse("its pickle has another kind of storage");
    push(Storage{expect<c10::ScalarType>(items[1], "a storage's type"),
                 expect<std::string_view>(items[2], "a storage's key"),
                 expect<std::int64_t>(items[4], "a storage's size")});
  }

  void call(const Constructor& constructor, const Value& arguments) {
    switch (constructor.kind) {
      case Constructor::Kind::kDictionary:
        if (!expect_items(arguments, 0, "an OrderedDict").empty()) refuse("its OrderedDict has arguments");
        return push_dictionary();
      case Constructor::Kind::kParameter:
        return push(expect<const PickledTensor*>(expect_items(arguments, 1, "a parameter")[0], "a parameter's tensor"));
      case Constructor::Kind::kTensor: {
        const auto& items = expect_items(arguments, 4, "a tensor");
        const auto& storage = expect<Storage>(items[0], "a tensor's storage");
        tensors_.push_back({storage.type, std::string(storage.key), storage.numbers,
                            expect<std::int64_t>(items[1], "a tensor's offset"), expect_counts(items[2], "size"),
                            expect_counts(items[3], "stride")});
        check_extent(tensors_.back());
        return push(&tensors_.back());
      }
    }
  }

  void build() {
    pop();  // attributes, such as OrderedDict's _metadata, which hold no tensors
    expect<Dictionary*>(top(), "an OrderedDict");
  }

  void reduce() {
    const Value arguments = pop();
    call(expect<Constructor>(pop(), "a constructor"), arguments);
  }

  void stack_global() {
    const Value name = pop();
    push(find_global(expect<std::string_view>(pop(), "a module's name"), expect<std::string_view>(name, "a name")));
  }

  // Executes one opcode. Returns false at the end of the pickle.
  bool step(unsigned char opcode) {
    switch (opcode) {
      case '.':
        return false;
      case 0x80:
        return take(1), true;  // the protocol
      case 0x95:
        return take(8), true;  // a frame's length
      case '0':
        return pop(), true;
      case '(':
        return push(Mark{}), true;
      case 'N':
      case 0x88:
      case 0x89:
        return push(Nothing{}), true;  // None, True, False: flags that are ignored
      case 'J':
        return push(std::int64_t{take_number<std::int32_t>()}), true;
      case 'K':
        return push(std::int64_t{take_number<std::uint8_t>()}), true;
      case 'M':
        return push(std::int64_t{take_number<std::uint16_t>()}), true;
      case 0x8a:
        return push(take_long()), true;
      case 'G':
        return take(8), push(Nothing{}), true;  // a float, which occurs only in attributes
      case 'X':
      case 'T':
        return push(take(take_number<std::uint32_t>())), true;
      case 0x8c:
      case 'U':
        return push(take(take_number<std::uint8_t>())), true;
      case ')':
      case ']':
        return push_sequence({}), true;
      case 't':
        return push_sequence(pop_to_mark()), true;
      case 0x85:
      case 0x86:
      case 0x87:
        return push_sequence(pop_values(opcode - 0x84U)), true;
      case '}':
        return push_dictionary(), true;
      case 's':
        return set_items(pop_values(2)), true;
      case 'u':
        return set_items(pop_to_mark()), true;
      case 'a':
        return pop(), check_list(), true;
      case 'e':
        return pop_to_mark(), check_list(), true;
      case 'q':
        return remember(take_number<std::uint8_t>()), true;
      case 'r':
        return remember(take_number<std::uint32_t>()), true;
      case 0x94:
        return remember(static_cast<std::uint32_t>(memo_.size())), true;
      case 'h':
        return recall(take_number<std::uint8_t>()), true;
      case 'j':
        return recall(take_number<std::uint32_t>()), true;
      case 'Q':
        return push_storage(pop()), true;
      case 'R':
        return reduce(), true;
      case 'b':
        return build(), true;
      case 0x93:
        return stack_global(), true;
      case 'c': {
        const std::string_view module = take_line();
        return push(find_global(module, take_line())), true;
      }
      default:
        refuse(fmt::format(
            "its pickle has the opcode {:#04x} at byte {}, which torch.save() never writes for a state dict", opcode,
            place_ - 1));
    }
  }

  std::string_view bytes_;
  std::uint64_t place_ = 0;
  std::vector<Value> stack_;
  std::unordered_map<std::uint32_t, Value> memo_;
  std::deque<Sequence> sequences_;
  std::deque<Dictionary> dictionaries_;
  std::deque<PickledTensor> tensors_;
};

}  // namespace

std::map<std::string, PickledTensor> read_pickled_state(std::string_view pickle) { return Reader(pickle).read(); }

}  // namespace lockstep::models
