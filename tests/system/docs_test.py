# SPDX-License-Identifier: BSD-3-Clause
"""Documentation says what the programs' tables say: every key, command and method is in it."""

import json
import os
import re
import subprocess
import unittest

from support import SystemTest, build_folder, not_sanitized

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs")


def read(name):
    with open(os.path.join(DOCS, name)) as f:
        return f.read()


def output(*words):
    return subprocess.run([os.path.join(build_folder(), words[0]), *words[1:]], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=20).stdout


class Docs(SystemTest):
    def assert_words(self, words, page, text):
        """Each is in 'text' as a word in bold (mdoc's Cm) or as code."""
        missing = [word for word in words
                   if not re.search(r"(\.It Cm|Cm|,|`)\s*" + re.escape(word) + r"\b", text)]
        self.assertTrue(words)
        self.assertEqual(missing, [], "not in " + page)

    def test_keys(self):
        keys = set(re.findall(r"^  (\w+): ", output("viaductd", "--keys"), re.M))
        self.assert_words(keys, "viaduct.yaml.5", read("man/viaduct.yaml.5"))

    def test_port_types(self):
        text = read("man/viaduct.yaml.5")
        for name in re.findall(r"^A '([\w-]+)' port", output("viaductd", "--keys"), re.M):
            self.assertIn("\n.Ss %s:" % name, text)

    def test_commands(self):
        commands = re.findall(r"^  ([a-z]+(?: (?:show|add|del|set|flush))?)\b.*\n      ",
                              output("viaduct", "help"), re.M)
        self.assert_words(commands, "viaduct.1", read("man/viaduct.1"))

    @not_sanitized
    def test_system_calls(self):
        table = read("security.md").split("| call |")[1].split("\n\n")[0]
        named = {call for row in re.findall(r"^\| (`.*?) \|", table, re.M)
                 for call in re.findall(r"`(\w+)`", row)}
        self.assertEqual(named, set(re.findall(r"^  (\w+)$", output("viaductd", "--calls"), re.M)))

    def test_methods(self):
        daemon = self.switch([])
        methods = [row["method"] for row in daemon.ctl("call", "help")]
        self.assert_words(methods, "control-api.md", read("control-api.md"))
        self.assertGreater(len(json.dumps(methods)), 100)


if __name__ == "__main__":
    unittest.main()
