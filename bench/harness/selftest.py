"""Tests of what the harness decides: choosing, ratios, verdicts, the table, what is read from other programs. Takes no second."""

import unittest

import candidates
import figures
import install
import load
import probes
import rows
import table
from figures import Samples
from rows import Row

RATIO = Row("A", "cpu", must=0.95, goal=0.75)
VALUE = Row("V", "memory", unit="MiB", judged="value", must=16, goal=10)


def samples(program, *values, name=None, wrong=0):
    return Samples(program, name or program, list(values), wrong)


class Figures(unittest.TestCase):
    def test_the_best_configuration_stands_for_a_program(self):
        line = figures.line(RATIO, [samples("castile", 4), samples("nginx", 9, name="slow"), samples("nginx", 5, name="quick"), samples("haproxy", 8)])
        self.assertEqual((line.peers["nginx"].name, line.best.name), ("quick", "quick"))
        self.assertEqual((line.ratio(), line.verdict), (0.8, "reached"))

    def test_a_peer_that_gives_wrong_answers_is_not_the_best(self):
        line = figures.line(RATIO, [samples("castile", 4), samples("nginx", 1, wrong=3), samples("haproxy", 8)])
        self.assertEqual((line.best.name, line.peers["nginx"].wrong), ("haproxy", 3))
        line = figures.line(RATIO, [samples("castile", 4), samples("nginx", 1, name="a", wrong=3), samples("nginx", 7, name="b")])
        self.assertEqual(line.peers["nginx"].name, "b")

    def test_a_ratio_is_of_the_same_round(self):
        line = figures.line(RATIO, [samples("castile", 1, 10, 100), samples("haproxy", 2, 20, 100)])
        self.assertEqual((line.ratios, line.ratio()), ([0.5, 0.5, 1.0], 0.5))

    def test_wrong_answers_of_castile_outweigh_all(self):
        self.assertEqual(figures.line(RATIO, [samples("castile", 1, wrong=1), samples("haproxy", 2)]).verdict, "WRONG ANSWERS")
        self.assertEqual(figures.verdict(RATIO, 0.1, errors=2), "ERRORS")

    def test_verdicts(self):
        for row, figure, expected in [(RATIO, 0.75, "goal"), (RATIO, 0.754, "goal"), (RATIO, 0.76, "reached"), (RATIO, 0.95, "reached"),
                                      (RATIO, 0.96, "NOT reached"), (VALUE, 16.04, "reached"), (VALUE, 16.1, "NOT reached"), (VALUE, None, "not measured"),
                                      (Row("I", "instructions"), 3, "-")]:
            self.assertEqual(figures.verdict(row, figure), expected, f"{row.name} {figure}")
        more = Row("W", "workers", judged="value", more=True, must=1.7, goal=1.9)
        self.assertEqual([figures.verdict(more, figure) for figure in (1.6, 1.7, 2.0)], ["NOT reached", "reached", "goal"])

    def test_without_peers_a_ratio_is_not_measured(self):
        self.assertEqual(figures.line(RATIO, [samples("castile", 1)]).verdict, "not measured")


class Table(unittest.TestCase):
    def test_columns_line_up(self):
        lines = [figures.line(RATIO, [samples("castile", 4.2), samples("haproxy", 8.4), samples("nginx"), samples("envoy", 1, wrong=2)]),
                 figures.line(VALUE, [samples("castile", 1234)])]
        text = table.text(lines).splitlines()
        self.assertEqual(len({len(line) for line in text}), 1)
        for expected in ("4.20", "8.40", "0.50 (0.50 to 0.50)", "failed", "cannot", "1.00 (2 wrong)", "goal"):
            self.assertIn(expected, text[2])
        self.assertIn("1,234", text[3])

    def test_json_has_every_row(self):
        data = table.data([figures.line(VALUE, [samples("castile", 12)])], {"machine": "m"})
        self.assertEqual((data["rows"][0]["verdict"], data["rows"][0]["castile"]["figure"], data["machine"]), ("reached", 12, "m"))


class Read(unittest.TestCase):
    def test_strace(self):
        calls = probes.calls_by_name("    calls syscall\n--------- ----------------\n     4000 recvfrom\n     2000 epoll_wait\n     4000 writev\n--- ---\n    10000 total\n")
        self.assertEqual(calls, {"recvfrom": 4000, "epoll_wait": 2000, "writev": 4000})
        self.assertEqual(probes.data_calls(calls), 8000)

    def test_instructions(self):
        self.assertEqual(probes.instructions_told("==1== I   refs:      1,234\n==2== I refs: 66\n"), 1300)
        self.assertEqual(probes.counted("812,,instructions:u,1,100.00,,\n"), 812)
        self.assertIsNone(probes.counted("<not supported>,,instructions:u,0,100.00,,\n"))

    def test_event_loops(self):
        self.assertEqual(probes.watched_by("pos:\t0\ntfd:       12 events: 19 data: c\ntfd:        7 events: 1 data: 7\n"), {12, 7})
        tcp = ("  sl local rem st\n   0: 0100007F:1F90 0100007F:AAAA 01 0:0 0:0 0 0 0 777 1\n   1: 0100007F:1F90 0:0 0A 0:0 0:0 0 0 0 778 1\n"
               "   2: 0100007F:AAAA 0100007F:1F90 01 0:0 0:0 0 0 0 779 1\n")
        self.assertEqual(probes.server_sockets(tcp, 8080), {777})

    def test_the_generator(self):
        self.assertEqual(load.parsed('noise\n{"done":1}\n', ""), {"done": 1})
        with self.assertRaisesRegex(load.LoadFailed, "panicked"):
            load.parsed("", "panicked")


class Files(unittest.TestCase):
    def test_every_row_has_candidates(self):
        known = candidates.all_candidates()
        for row in rows.ROWS:
            names = [one.name for one in known if one.does(row) and one.program == "castile"]
            self.assertTrue(len(names) == 1, f"{row.name}: {names}")

    def test_names_are_unique_and_templates_there(self):
        known = candidates.all_candidates()
        self.assertEqual(len({one.name for one in known}), len(known))
        for one in known:
            text = (install.HERE / "peers" / one.template).read_text()
            for entry in one.entries.values():
                places = dict.fromkeys(["PORT", "ADMIN", "W", "W96", "RUN", "DIR", "CERT", "ROOT", "N1", "N2", "N3", "N1P", "N2P", "N3P"], "x")
                self.assertNotRegex(candidates.rendered(text, {"ENTRY": entry, **places}), r"@[A-Z0-9]+@", one.name)

    def test_rows_are_chosen_by_their_beginning(self):
        self.assertEqual([row.name for row in rows.chosen(["CL 10"])], ["CL 10 KiB", "CL 100 KiB"])
        self.assertEqual(rows.chosen([]), rows.ROWS)
        with self.assertRaises(SystemExit):
            rows.chosen(["Z"])


def run():
    import sys
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1
