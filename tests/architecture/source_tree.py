"""Checks of the sources as a whole. Each function returns the problems that it finds, one line per problem."""

import re

# A module may include only modules of the rows above it; modules of one row do not know each other.
FLOORS = [
    ["core"],
    ["job", "text"],
    ["hub", "data"],
    ["models"],
    ["batching", "comm"],
    ["sharding"],
    ["generation"],
    ["evaluation"],
    ["train"],
    ["cli"],
]
# The program lockstep-prep links neither LibTorch nor MPI.
PROGRAMS = {"data_prep": {"core", "job", "text", "hub", "data"}}
FLOOR_OF = {module: number for number, modules in enumerate(FLOORS) for module in modules}

INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.MULTILINE)


def sources(root):
    """Maps each of the project's own C++ files, except tests and examples, from its path to its text."""
    found = {}
    for folder in ("include/lockstep", "src", "data_prep"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".in", ".inc"):
                found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return found


def module_of(file):
    parts = file.split("/")
    if parts[0] == "data_prep":
        return "data_prep"
    if file == "include/lockstep/lockstep.h":
        return "lockstep.h"
    return parts[2] if parts[0] == "include" else parts[1]


def included(files, file):
    """Returns the project's files that `file` includes, and the names that match none of them."""
    paths, strangers = [], []
    for name in INCLUDE.findall(files[file]):
        path = next((path for path in (f"include/{name}", f"src/{name}", name) if path in files), None)
        if path is not None:
            paths.append(path)
        elif f"src/{module_of(file)}/{name}.in" not in files:
            strangers.append(name)
    return paths, strangers


def upward_includes(root):
    """Finds includes that point up or sideways, from one module to another."""
    files = sources(root)
    problems = []
    for file in files:
        module = module_of(file)
        if module == "lockstep.h":
            continue
        if module not in FLOOR_OF and module not in PROGRAMS:
            problems.append(f"{file}: the module '{module}' is on no floor of tests/architecture/source_tree.py")
            continue
        for other in included(files, file)[0]:
            there = module_of(other)
            if there == module:
                continue
            allowed = there in PROGRAMS[module] if module in PROGRAMS else FLOOR_OF.get(there, 99) < FLOOR_OF[module]
            if not allowed:
                problems.append(f"{file}: includes {other}, but {module} may not know {there}")
    return problems


def include_style(root):
    """Finds includes that are not written as a path below include/, src/ or the root. Generated headers are exempt."""
    files = sources(root)
    problems = []
    for file in files:
        for name in included(files, file)[1]:
            problems.append(f'{file}: #include "{name}" is no path below include/, src/ or the root')
    return problems


def needed_headers(root):
    """Returns the headers that another module or an example includes, directly or through such a header."""
    files = sources(root)
    needed = {"include/lockstep/lockstep.h"}
    for file in files:
        for other in included(files, file)[0]:
            if module_of(other) != module_of(file) and other.endswith(".h"):
                needed.add(other)
    for path in (root / "examples").rglob("*.cpp"):
        for name in re.findall(r"#include [<\"](lockstep/[^>\"]+)[>\"]", path.read_text(encoding="utf-8")):
            needed.add(f"include/{name}")
    waiting = list(needed)
    while waiting:
        for other in included(files, waiting.pop())[0]:
            if other not in needed:
                needed.add(other)
                waiting.append(other)
    return needed


def misplaced_headers(root):
    """Finds public headers that only their own module includes, and private headers that others need."""
    needed = needed_headers(root)
    headers = {file for file in sources(root) if file.endswith(".h")}
    problems = [f"{file}: no other module and no program outside needs it; it belongs into src/"
                for file in sorted(headers - needed) if file.startswith("include/")]
    problems += [f"{file}: another module or a public header includes it; it belongs into include/lockstep/"
                 for file in sorted(headers & needed) if not file.startswith("include/")]
    return problems


def unlisted_headers(root):
    """Finds differences between include/ and the list of installed headers."""
    listed = {line.strip() for line in (root / "tests/architecture/public_headers.txt").read_text().splitlines() if line.strip()}
    there = {path.relative_to(root / "include").as_posix() for path in (root / "include").rglob("*") if path.is_file()}
    return ([f"include/{name}: is installed, but tests/architecture/public_headers.txt does not name it"
             for name in sorted(there - listed)] +
            [f"tests/architecture/public_headers.txt: names {name}, which include/ does not have"
             for name in sorted(listed - there)])


TYPE = re.compile(r"^(?:template <[^\n]*>\n)?(?:class|struct|union|enum class|enum) (\w+)(?: final)?(?: :[^;{=]*)?\s*\{",
                  re.MULTILINE)


def without_comments(text):
    text = re.sub(r'R"(\w*)\(.*?\)\1"', '""', text, flags=re.DOTALL)
    text = re.sub(r"^\}  // namespace.*$", "} namespace", text, flags=re.MULTILINE)
    return re.sub(r"//[^\n]*", "", text)


def types_of(text):
    """Returns the full names of the types that a file defines in named namespaces. Relies on clang-format's layout: a
    declaration in a namespace starts its line, and a namespace of more than one line ends in a comment that says so."""
    names = []
    stack = []
    text = re.sub(r"^namespace [\w:]+ \{\n[^\n]*\n\}$", "", without_comments(text), flags=re.MULTILINE)
    for match in re.finditer(r"^namespace([ \w:]*)\{|^\} namespace$|" + TYPE.pattern, text, re.MULTILINE):
        line = match.group(0)
        if line.startswith("namespace"):
            stack.append(match.group(1).strip())
        elif line == "} namespace":
            stack.pop()
        elif "" not in stack:  # not in an unnamed namespace
            names.append("::".join([*stack, match.group(2)]))
    return names


def type_clashes(root):
    """Finds types that two files define under one full name. In one program, one of them would silently win."""
    where = {}
    for file, text in sources(root).items():
        for name in types_of(text):
            where.setdefault(name, set()).add(file)
    return [f"{name}: defined in {' and in '.join(sorted(files))}" for name, files in sorted(where.items())
            if len(files) > 1]


def misnamed_namespaces(root):
    """Finds files that open a namespace other than that of their module."""
    problems = []
    for file, text in sources(root).items():
        module = module_of(file)
        opened = set(re.findall(r"^namespace (lockstep[\w:]*) \{", without_comments(text), re.MULTILINE))
        for name in sorted(opened):
            parts = name.split("::")
            if len(parts) > 1 and parts[1] not in (module, "rapidjson") and not forward_declares(text, name):
                problems.append(f"{file}: opens {name}; its module is lockstep::{module}")
            if len(parts) == 1 and not lifts(text):
                problems.append(f"{file}: opens lockstep itself, which is for what headers lift into it")
    return problems


def forward_declares(text, namespace):
    body = re.search(r"^namespace " + namespace + r" \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return body is not None and all(re.fullmatch(r"(?:class|struct) \w+;|", line) for line in body.group(1).splitlines())


def lifts(text):
    body = re.search(r"^namespace lockstep \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return body is not None and all(re.fullmatch(r"using [\w:]+;|", line) for line in body.group(1).splitlines())


def hidden_ways_into_a_model(root):
    """Finds thread-local variables in models: autograd runs backward on other threads, which do not see them. What a
    model needs to know about a pass is in models::Pass."""
    return [f"{file}: has a thread_local variable; put the value into models::Pass"
            for file, text in sources(root).items()
            if module_of(file) == "models" and re.search(r"\bthread_local\b", without_comments(text))]


CHECKS = [upward_includes, include_style, misplaced_headers, unlisted_headers, type_clashes, misnamed_namespaces,
          hidden_ways_into_a_model]
