# SPDX-License-Identifier: BSD-3-Clause
"""Finds the checks and barriers of a source file, and writes a copy in which each can be taken away.

It reads text as clang-format leaves it, not C: a function's braces stand in the first column.

    check      if (bad) return error;        a guard that leaves, or breaks or drops something
               each operand of its ||        if it has several
    likely     if (via_likely(a && b)) …     each operand of what is refused elsewhere if it does not hold
    operand    return a && b;                each operand of what a predicate returns, or of
               if (a && b) return true;      what it has to find before
    barrier    an acquire, a release, a fence
"""

import hashlib
import re

NUMBERS = 1 << 22               # a mutant's number is of its key, so that others' changes leave it


class Mutant:
    """One check or barrier. 'begin' and 'end' say where it is in the file."""

    def __init__(self, kind, begin, end, before, after):
        self.kind, self.begin, self.end = kind, begin, end
        self.before, self.after = before, after         # that make it removable; %d is the number

    def place(self, path, function, text, body, nth):
        """Names it: 'key' changes with the function that it is in, 'name' with the check alone."""
        self.text = re.sub(r"\s+", " ", text) + (" (%d)" % nth if nth > 1 else "")
        self.path, self.function = path, function
        self.name = "%s %s: %s" % (path, function, self.text)
        self.key = hashlib.sha1((self.name + "\n" + body).encode()).hexdigest()[:12]


def blank(text):
    """The same with spaces in the place of comments, strings, characters and preprocessor lines."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S | re.M)


def closing(text, at):
    """Where the bracket that opens at 'at' ends: the place behind it."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise ValueError("a bracket is not closed")


def functions(text):
    """(name, begin, end) of each function's body."""
    for m in re.finditer(r"^\{$", text, re.M):
        head = text[:m.start()].rstrip()
        head = head[max(head.rfind("\n}"), head.rfind(";"), head.rfind("\n\n")) + 1:]
        name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\(\(.*?\)\)", " ", head, flags=re.S))
        end = text.index("\n}", m.start()) + 2
        if name:
            yield name.group(1), m.start(), end


def split(text, begin, end, operator):
    """The operands between 'operator's on the outermost level, without space around them."""
    parts, depth, start, i = [], 0, begin, begin
    while i < end:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(text[i], 0)
        if depth == 0 and text.startswith(operator, i):
            parts.append((start, i))
            start = i = i + len(operator)
        elif depth == 0 and text[i] == "?":
            return [(begin, end)]
        else:
            i += 1
    parts.append((start, end))
    return [strip(text, *part) for part in parts]


def strip(text, begin, end):
    while text[begin].isspace():
        begin += 1
    while text[end - 1].isspace():
        end -= 1
    return begin, end


def bare(text, begin, end):
    """Without via_likely(), via_unlikely() or brackets around all of it."""
    m = re.compile(r"(via_(un)?likely)?\(").match(text, begin, end)
    if m and closing(text, m.end() - 1) == end:
        return bare(text, *strip(text, m.end(), end - 1))
    return begin, end


LEAVES = r"(return|goto|break|continue)\b"
REFUSES = r"via_fail\(|broken|_break\(|drop"


def is_guard(text, at):
    """Whether what an if() does, at 'at', is to leave or to refuse; and no else follows."""
    body = re.compile(r"\s*").match(text, at).end()
    if text[body] == "{":
        end = closing(text, body)
        statements = text[body + 1:end - 1].rstrip().rstrip(";")
        last = statements[max(statements.rfind(";"), statements.rfind("}"),
                              statements.rfind("{")) + 1:].lstrip()
    else:
        end = text.index(";", body) + 1
        last = statements = text[body:end]
        if re.match(r"(if|for|while|do|switch)\b", last):
            return False
    if re.match(r"\s*else\b", text[end:]):
        return False
    return bool(re.match(LEAVES, last) or re.search(REFUSES, statements))


def checks(text, begin, end):
    for m in re.compile(r"\bif \(").finditer(text, begin, end):
        close = closing(text, m.end() - 1)
        inner = bare(text, *strip(text, m.end(), close - 1))
        if text.startswith("via_likely", m.end()):
            for part in split(text, *inner, "&&"):
                yield Mutant("likely", *part, "VIA_MUTANT_NEED(%d, ", ")")
            continue            # a short cut: without it comes the same in general
        if re.match(r"\s*return true;", text[close:]):
            for part in split(text, *inner, "&&"):
                yield Mutant("operand", *part, "VIA_MUTANT_NEED(%d, ", ")")
            continue
        if not is_guard(text, close):
            continue
        for part in split(text, *inner, "||"):
            yield Mutant("check", *part, "VIA_MUTANT_CHECK(%d, ", ")")


def operands(text, begin, end):
    for m in re.compile(r"\breturn (?=[^;]*(&&|\|\|))").finditer(text, begin, end):
        inner = bare(text, *strip(text, m.end(), text.index(";", m.end())))
        for operator, macro in (("||", "VIA_MUTANT_CHECK"), ("&&", "VIA_MUTANT_NEED")):
            parts = split(text, *inner, operator)
            if len(parts) > 1:
                for part in parts:
                    yield Mutant("operand", *part, macro + "(%d, ", ")")
                break


BARRIER = re.compile(r"\bvia_fence\(|\batomic_(?:thread|signal)_fence\("
                     r"|\bvia_le\d+_(?:load_acquire|store_release)\("
                     r"|\batomic_\w+_explicit\(")


def barriers(text, begin, end):
    for m in BARRIER.finditer(text, begin, end):
        close = closing(text, m.end() - 1)
        call = text[m.start():close]
        if "fence" in m.group():
            yield Mutant("barrier", m.start(), close, "(void)(via_is_there(%d) && (", ", 1))")
            continue
        weak = re.sub(r"memory_order_(acquire|release|acq_rel)", "memory_order_relaxed",
                      re.sub(r"_(acquire|release)\(", "(", call, count=1))
        if weak != call:
            yield Mutant("barrier", m.start(), close, "(via_is_there(%d) ? ", " : " + weak + ")")


def find(path, source):
    """All mutants of a file, each with its name."""
    text = blank(source)
    for function, begin, end in functions(text):
        named = {}
        found = [*checks(text, begin, end), *operands(text, begin, end),
                 *barriers(text, begin, end)]
        for mutant in sorted(found, key=lambda m: m.begin):
            what = source[mutant.begin:mutant.end]
            named[what] = named.get(what, 0) + 1
            mutant.place(path, function, what, text[begin:end], named[what])
            yield mutant


def number(mutants):
    """Gives each mutant a number of its own."""
    taken = set()
    for mutant in sorted(mutants, key=lambda m: m.key):
        n = int(mutant.key, 16) % (NUMBERS - 1) + 1
        while n in taken:
            n = n % (NUMBERS - 1) + 1
        taken.add(n)
        mutant.number = n


def removable(source, mutants):
    """The source with all of them in it. They nest, so what is around comes first and last."""
    inserts = []
    for m in mutants:
        length = m.end - m.begin
        inserts.append((m.begin, 1, -length, m.before % m.number))
        inserts.append((m.end, 0, length, m.after))
    for at, _, _, what in sorted(inserts, reverse=True):
        source = source[:at] + what + source[at:]
    return source
