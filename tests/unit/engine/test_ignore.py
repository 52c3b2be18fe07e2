"""`.dockerignore`: the cases of moby's patternmatcher, what is refused, and that no pattern is slow."""

from __future__ import annotations

import re

import pytest

from stackd.engine.ignore import BadPattern, Ignore, rules


def left_out(patterns: list[str], path: str) -> bool:
    return Ignore(rules("\n".join(patterns))).leaves_out(path)


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("**", "file dir/file", ""),
        ("**/", "file dir/file", ""),
        ("**/**", "dir/file a", ""),
        ("dir/**", "dir/file dir/dir2/file", "dir dirx"),
        ("**/dir", "dir dir/file a/dir a/b/dir", "xdir dirx"),
        ("**/dir2/*", "dir/dir2/file dir2/x/y", "dir/dir2"),
        ("**/dir2/**", "dir/dir2/dir3/file", "dir2"),
        ("**file", "file dir/file dir/dir/file dir/xfile", "filex"),
        ("**/file*", "dir/dir/file dir/dir/file.txt", "dir/xfile"),
        ("**file*", "dir/file.txt", "dir/xfile"),
        ("**/file*txt", "dir/dir/file.txt", "file.tx"),
        ("**/file*.txt*", "dir/dir/file.txt", ""),
        ("**/**/*.txt", "dir/dir/file.txt file.txt", "dir/file.txt2"),
        ("a**/*.txt", "a/file.txt a/dir/file.txt a/dir/dir/file.txt a.txt", "b/file.txt"),
        ("a/*.txt", "a/file.txt", "a/dir/file.txt"),
        ("a/*.txt**", "a/file.txt a/file.txt/x", ""),
        ("a[b-d]e", "ace", "ae aae"),
        ("a[^b-d]e", "aze a/e", "ace"),
        (".*", ".foo", "foo"),
        ("abc.def", "abc.def", "abcdef abcZdef"),
        ("abc?def", "abcZdef", "abcdef abc/def"),
        ("**/foo/bar", "foo/bar dir/foo/bar dir/dir2/foo/bar", "xfoo/bar"),
        ("**/.foo", ".foo a/.foo", "bar.foo"),
        ("a(b)c/def", "a(b)c/def", "a(b)c/xyz"),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", ""),
        ("a\\\\", "a\\", ""),
        ("a\\*b", "a*b", "ab axb"),
        ("*c", "abc", "ab"),
        ("a*", "a abc ab/c", "b"),
        ("a*/b", "abc/b", "a/c/b"),
        ("a*b*c*d*e*/f", "axbxcxdxe/f axbxcxdxexxx/f", "axbxcxdxe/xxx/f axbxcxdxexxx/fff"),
        ("a*b?c*x", "abxbbxdbxebxczzx", "abxbbxdbxebxczzy"),
        ("a?b", "a☺b", "a/b"),
        ("a???b", "", "a☺b"),
        ("[a-ζ]*", "α", ""),
        ("*[a-ζ]", "", "A"),
        ("[\\]a]", "] a", "b"),
        ("[x\\-]", "x -", "z"),
        ("[\\-x]", "x -", "a"),
        ("[!a]", "! a", "b"),
        ("*x", "xxx", ""),
        ("/build/", "build build/x", "a/build"),
        ("./a/../b//c/.", "b/c", "a b"),
        ("  b  ", "b", ""),
        ("a/b", "a/b/c/d", "a x/a/b"),
        ("***", "a a/b", ""),
        ("a***b", "ab axb ax/b a/xb", "a"),
    ],
)
def test_a_pattern_matches_what_it_matches_for_docker(pattern: str, matched: str, others: str) -> None:
    assert [path for path in matched.split() if not left_out([pattern], path)] == []
    assert [path for path in others.split() if left_out([pattern], path)] == []


@pytest.mark.parametrize(
    ("patterns", "path", "out"),
    [
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/README.md", False),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["docs", "! docs/README.md"], "docs/README.md", False),
        (["docs", "!/docs/README.md"], "docs/README.md", False),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", "!dist/*.whl"], "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", False),
        (["# a", "", "\ufeffb"], "a", False),
        ([" # a"], "# a", True),
        ([], "any/path", False),
    ],
)
def test_the_last_rule_that_matches_a_path_or_a_folder_above_it_decides(
    patterns: list[str], path: str, out: bool
) -> None:
    assert left_out(patterns, path) is out


@pytest.mark.parametrize(
    "pattern",
    ["[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "\\", "a\\", "[z-a]", "[a\\"],
)
def test_a_pattern_with_a_syntax_error_is_refused_with_its_line(pattern: str) -> None:
    with pytest.raises(BadPattern, match=re.escape(f'line 2: "{pattern}": syntax error in pattern')):
        left_out(["ok", pattern], "a")


def test_an_exclusion_of_nothing_is_refused() -> None:
    with pytest.raises(BadPattern, match='line 1: illegal exclusion pattern: "!"'):
        left_out(["!"], "a")


def _expression(pattern: str) -> re.Pattern[str]:
    """The same by backtracking, for patterns of these letters alone."""
    words = {"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*/?|\*|\?|.", pattern)
    last = ".*" if parts[-1] == "**" else words.get(parts[-1], parts[-1])
    return re.compile("".join([*(words.get(part, part) for part in parts[:-1]), last]) + r"(/.*)?\Z")


def test_all_short_patterns_match_as_a_regular_expression_of_moby_does() -> None:
    from itertools import product

    paths = ["/".join(names) for size in (1, 2, 3) for names in product(("a", "b", "ab"), repeat=size)]
    letters = ("a", "b", "/", "*", "**", "?")
    for size in (1, 2, 3, 4):
        for chosen in product(letters, repeat=size):
            pattern = "".join(chosen)
            if "//" in pattern or pattern[0] == "/" or pattern[-1] == "/" or "***" in pattern:
                continue
            if pattern.startswith("**") and not set("*?") & set(pattern[2:]):
                continue  # compared with the end of the path
            wanted = _expression(pattern)
            found = Ignore(rules(pattern))
            wrong = [path for path in paths if found.leaves_out(path) != bool(wanted.match(path))]
            assert (pattern, wrong) == (pattern, [])


def test_the_states_of_a_pattern_are_few_and_a_path_is_gone_through_once() -> None:
    """What took 5 s: each `**/` doubled the ways to try."""
    ignore = Ignore(rules("**/a*/" * 60 + "b"))
    path = "/".join(["aaaaaaaaaa"] * 60)
    steps = 0
    real = ignore._after

    def counted(states: int, letter: str) -> int:
        nonlocal steps
        steps += 1
        return real(states, letter)

    ignore._after = counted  # type: ignore[method-assign]
    assert not ignore.leaves_out(path)
    assert steps == len(path)
    assert ignore._machine.size < 300


def test_a_path_can_be_gone_along_name_by_name() -> None:
    ignore = Ignore(rules("**/b/*.o\n!keep"))
    trail = ignore.enter(ignore.root, "a")
    for name in ("b", "x.o", "below"):
        trail = ignore.enter(trail, name)
    assert ignore.leaves_out("a/b/x.o/below", trail)
    assert not ignore.prunes("a/b/x.o", trail)


def test_many_different_letters_are_not_all_remembered() -> None:
    ignore = Ignore(rules("[a-z]"))
    for number in range(0x4E00, 0x4E00 + 6000):
        ignore.leaves_out(chr(number))
    assert len(ignore._letters) <= 4096
