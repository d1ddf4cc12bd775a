"""Parameters of the chapters: what a chapter's rules let through must run to its end, whatever the values.

For each notebook, sets of parameters are drawn around its smoke profile (numbers moved, lists shortened, reordered,
with duplicates) and never far above it. A set that the rules refuse is drawn again; any other is executed, in a
process of its own. Drawn are the sets of FIRST, FIRST + 1, ...: SEPARATIONS_PARAMETER_SETS says how many for each
notebook (20 for the whole search), SEPARATIONS_PARAMETER_TIMEOUT how many seconds of a processor one may take.
One alone: SEPARATIONS_PARAMETER_SETS=20 pytest tests/test_parameters_of_chapters.py -k "13_two_scores and 105".
"""

import ast
import contextlib
import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from separations.book.chapters import notebook_keys
from separations.numerics.seeds import MAX_SEED
from separations.parameter_rules import rules_of
from separations.run.notebooks import read_notebook, source_of
from separations.run.parameters import checked_parameters, parameters_of, profile_entry, read_params
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
KEYS = notebook_keys(Book(ROOT))
FIRST = 101  # number of the first set: another number, other sets
SETS = int(os.environ.get("SEPARATIONS_PARAMETER_SETS", "0"))  # 0: one, for as many notebooks as fit into BUDGET
BUDGET = 150.0  # seconds of a processor
# What a set takes at smoke size, seconds of a processor, by the number of the notebook; another one counts as 60.
COSTS = {
    "11": 20, "12": 11, "13": 10, "14": 14, "21": 24, "22": 18, "23": 15, "24": 20, "31": 53, "32": 9, "33": 18, "34": 10,
    "41": 45, "42": 90, "43": 75, "44": 27, "45": 12, "51": 14, "52": 5, "53": 12, "54": 34, "55": 54, "60": 20, "61": 12, "62": 30, "63": 30, "64": 12, "65": 25, "66": 30, "68": 20, "69": 25, "70": 20, "71": 30, "72": 30,
}  # fmt: skip
# Values that once broke a chapter: its first set is drawn around them. Those of REFUSED make no sense in theirs.
ONCE_BROKEN = {
    "foundations/11_diffusion_in_one_chapter": {"step_counts": [4, 8, 64]},
    "foundations/13_two_scores": {"steps_images": 1},
    "foundations/14_what_counts_as_memorized": {"noise_levels": [0.2, 0.5]},
    "statistical/21_loss_gap": {"d": 3},
    "statistical/22_how_large_is_the_gap": {"rate_dims": [1, 3], "fig1_d": 7},
    "statistical/23_gap_drives_training": {"d": 2},
    "statistical/24_where_the_assumptions_end": {"d": 2},
    "approximation/32_scores_that_networks_learn": {"d": 2, "level": 0.1},
    "approximation/33_lipschitz_constants": {"net_times": [0.01, 0.2, 5.0]},
    "approximation/34_size_sample_dimension": {"d_grid": 4, "checkpoints": 6},
    "pruning/44_where_copying_is_decided": {"steps_mixture": 6, "every": 3},
}
REFUSED = [
    ("foundations/11_diffusion_in_one_chapter", {"t_start": 9.0}),
    ("control/52_the_interval_sampler", {"examples": [[1, 2], [1, 2]]}),
    ("foundations/13_two_scores", {"accuracies": []}),
    ("statistical/21_loss_gap", {"d": 2}),
    ("statistical/24_where_the_assumptions_end", {"dfs": [10, 4, 2]}),
    ("statistical/24_where_the_assumptions_end", {"d": 1}),
    ("approximation/31_scores_from_relus", {"n_main": 1}),
    ("approximation/32_scores_that_networks_learn", {"sizes": [8, 16, 1000]}),
    ("approximation/34_size_sample_dimension", {"pair": [32, 48]}),
    ("pruning/42_importance_and_pruning", {"m_damage": 1}),
    ("landscape/60_one_bench", {"repeats": 1}),
    ("landscape/60_one_bench", {"windows": [2]}),
    ("landscape/68_gone_or_hidden", {"remedies": ["none"]}),
    ("pruning/45_the_choice_of_heads", {"random_draws": 4}),
    ("landscape/64_the_empirical_landscape", {"sizes_circle": [4, 8, 16]}),
    ("landscape/64_the_empirical_landscape", {"moves": 7}),
    ("landscape/61_steps_too_large_to_remember", {"multiples": [0.1, 0.5]}),
    ("landscape/62_two_clocks_of_training", {"rules": 6}),
    ("landscape/62_two_clocks_of_training", {"levels_n": [1, 2, 12]}),
    ("landscape/63_what_networks_learn_instead", {"size": 10}),
    ("landscape/63_what_networks_learn_instead", {"net_sizes": [30]}),
    ("landscape/65_finding_copies", {"group_sizes": [1, 5]}),
    ("landscape/65_finding_copies", {"m_panel": 100}),
    ("landscape/66_removing_copies", {"looks": [0.5, 1.0]}),
    ("landscape/66_removing_copies", {"masks": ["1111"]}),
    ("landscape/69_what_labels_do", {"sizes": [40, 80]}),
    ("landscape/69_what_labels_do", {"masks": ["1111"]}),
    ("landscape/70_trained_on_its_own_samples", {"rounds": 1}),
    ("landscape/70_trained_on_its_own_samples", {"sizes": [60, 10]}),
    ("your_own_model/71_does_it_copy", {"generated": "mnist5k"}),
    ("your_own_model/71_does_it_copy", {"n_held_out": 10}),
    ("your_own_model/72_what_the_model_knows", {"sizes": []}),
    ("your_own_model/72_what_the_model_knows", {"levels": [0.0]}),
]
TIMEOUT = float(os.environ.get("SEPARATIONS_PARAMETER_TIMEOUT", "240"))
TRIES = 100  # further changes, where the rules refuse many
FEW = 2**12  # a count above this is a number of draws: it is only lowered
NOT_MOVED = ("threads", "workers")  # of the machine, not of the chapter
NOT_LOWERED = ("patch",)  # a transformer takes 49 times as many tokens with patches of 1 in place of 7
NOT_A_NUMBER = re.compile(r"(?<![\w-])nan(?![\w-])", re.IGNORECASE)
EMPTY = re.compile("Mean of empty slice|invalid value|All-NaN|[Dd]egrees of freedom|divide by zero")


def cost(key: str) -> float:
    """Seconds of a processor that a set of a notebook takes."""
    return COSTS.get(key.rpartition("/")[2][:2], 60)


def affordable(keys: list[str], seconds: float) -> list[str]:
    """The notebooks whose sets fit into so many seconds: the cheapest first, then those that FIRST picks."""
    cheap = sorted(keys, key=cost)[: len(keys) // 2]
    others = random.Random(FIRST).sample(sorted(set(keys) - set(cheap)), len(keys) - len(cheap))
    found: list[str] = []
    for key in cheap + others:
        if sum(map(cost, found)) + cost(key) <= seconds:
            found.append(key)
    return found


# Drawing


def moved_number(value: int | float, rng: random.Random) -> int | float:
    """A number near the given one, of its type: lower as far as it goes, higher by little."""
    if isinstance(value, int):
        higher = [] if abs(value) > FEW else [value + 1, value + max(1, value // 4)]
        return rng.choice([value - 1, value // 2, 1, 2, 3, rng.randint(min(1, value), max(1, value)), *higher, 0])
    return rng.choice([value * rng.uniform(0.5, 1.0), value * rng.uniform(1.0, 1.5), float(f"{value:.1g}"), 0.0, 1.0])


def moved_list(values: list, rng: random.Random) -> list:
    """A list with an item less, moved, repeated or added, in another order, or with one item alone."""
    if not values:
        return []
    i, copy = rng.randrange(len(values)), list(values)
    kind = rng.choice(["drop", "move", "move", "twice", "add", "shuffle", "reverse", "sort", "one", "none"])
    if kind == "drop":
        del copy[i]
    elif kind == "move":
        copy[i] = moved(copy[i], rng)
    elif kind == "twice":
        copy.insert(rng.randrange(len(values) + 1), copy[i])
    elif kind == "add":
        copy.append(moved(copy[i], rng))
    elif kind == "shuffle":
        rng.shuffle(copy)
    elif kind == "reverse":
        copy.reverse()
    elif kind == "sort":
        copy.sort(key=repr)
    return [values[i]] if kind == "one" else [] if kind == "none" else copy


def moved(value, rng: random.Random, choices: list[str] | None = None):
    """Another value of the same type. choices: the texts that a rule allows; other texts stay."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return moved_number(value, rng)
    if isinstance(value, list):
        if choices and all(isinstance(item, str) for item in value):
            return rng.sample(choices, rng.randint(1, len(choices)))
        return moved_list(value, rng)
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        return {**value, key: moved(value[key], rng)}
    return rng.choice(choices) if choices and isinstance(value, str) else value


def choices_in(rules: tuple[str, ...]) -> dict[str, list[str]]:
    """The texts that rules allow for a parameter, as `name in ("a", "b")` or `all(x in ("a", "b") for x in name)`."""
    found = {}
    for rule in rules:
        for node in ast.walk(ast.parse(rule.partition("#")[0].strip(), mode="eval")):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
                items = getattr(node.comparators[0], "elts", [])
                texts = [item.value for item in items if isinstance(getattr(item, "value", None), str)]
                names = [
                    other.id
                    for other in ast.walk(ast.parse(rule.partition("#")[0].strip()))
                    if isinstance(other, ast.Name)
                ]
                if texts and len(texts) == len(items):
                    found |= {name: texts for name in names if name not in ("all", "any", "x")}
    return found


def smoke(key: str) -> dict:
    """All parameters of a notebook under the smoke profile."""
    defaults = parameters_of(read_notebook(ROOT / "book" / f"{key}.ipynb"), key)
    return defaults | profile_entry(read_params(ROOT / "params" / "smoke.yml"), key)


def drawn(key: str, number: int) -> tuple[dict, int]:
    """Set `number` of a notebook that its rules let through, and how many changes they refused on the way.

    AssertionError where they refuse all, where another error than ValueError refuses one.
    """
    notebook, start, rng = read_notebook(ROOT / "book" / f"{key}.ipynb"), smoke(key), random.Random(f"{key} {number}")
    broken = ONCE_BROKEN.get(key, {}) if number == FIRST else {}
    start = start | broken
    choices = choices_in(rules_of(notebook, key))
    names = [name for name in start if name not in (*NOT_MOVED, *broken)]
    values, refused, wanted = start, 0, rng.randint(1, max(4, len(names) // 2))
    for name in rng.sample(names, len(names)) + rng.choices(names, k=TRIES):
        seeds = [1, MAX_SEED, rng.randint(0, MAX_SEED)]
        candidate = values | {
            name: rng.choice(seeds) if name == "seed" else moved(values[name], rng, choices.get(name))
        }
        if name in NOT_LOWERED and candidate[name] < start[name]:
            continue
        try:
            checked_parameters(notebook, candidate, key)
        except ValueError as error:
            assert "\n" not in str(error), error
            refused += 1
        else:
            values = candidate
        if sum(values[name] != start[name] for name in names) >= wanted:
            return values, refused
    assert values != start, f"{key}: {refused} changes were refused: the rules leave too little"
    return values, refused


# Executing, in a process that has imported the libraries once and forks for each set


def execute(key: str, values: dict, evidence: str) -> None:
    """Run the code cells of a notebook with these parameters. RuntimeError names the first cell that fails or gives NaN."""
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib import pyplot as plt
    from traitlets.config import Config

    os.environ["SEPARATIONS_EVIDENCE"] = evidence
    path = ROOT / "book" / f"{key}.ipynb"
    os.chdir(path.parent)
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell, said = InteractiveShell.instance(config=config), []
    shell.display_pub.publish = lambda data, *others, **more: said.extend(
        str(text)
        for kind, text in data.items()
        if kind.endswith(("plain", "markdown"))  # glued numbers among them
    )
    shell.showtraceback = lambda *others, **more: None
    warnings.showwarning = lambda message, kind, *others, **more: said.append(f"warning: {message}")
    _train_briefly()
    for cell in read_notebook(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        warnings.simplefilter("always", RuntimeWarning)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result = shell.run_cell(source_of(cell), store_history=True)
        said.append(printed.getvalue())
        if not result.success:
            raise RuntimeError(_reason(cell, result.error_before_exec or result.error_in_exec))
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")
        wrong = [text for text in said if NOT_A_NUMBER.search(text) or (text[:8] == "warning:" and EMPTY.search(text))]
        if wrong:
            raise RuntimeError(f"cell {cell.get('id')} says: {wrong[0][:300]}")
        if "parameters" in cell["metadata"].get("tags", []):
            shell.user_ns.update(values)
        said.clear()
    for file in Path(evidence).iterdir():
        assert not NOT_A_NUMBER.search(file.read_text(encoding="utf-8")), f"{file.name} holds NaN"


def _train_briefly() -> None:
    """Shipped models as they are, others after a few updates: hundreds of seconds of training say nothing about parameters."""
    from separations.training import checkpoints, recipes

    whole = recipes.trained

    def trained(recipe, **options):
        shipped = recipes._shipped(recipe)
        if shipped is not None and checkpoints.load_model(shipped)[1].get("recipe") == recipe.words():
            return whole(recipe, **options)
        steps = min(recipe.steps, 20)
        model, facts = whole(replace(recipe, steps=steps, warmup=min(recipe.warmup, steps - 1)), **options)
        return model, facts | {"recipe": recipe.words()}

    recipes.trained = trained


def _reason(cell: dict, error: BaseException) -> str:
    lines = source_of(cell).splitlines()
    own = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "ipython-input" in f.filename or "/ipykernel_" in f.filename
    ]
    places = [f"line {frame.lineno}: {frame.line.strip()}" for frame in own[-2:]]
    return f"cell {cell.get('id')} ({lines[0][:60] if lines else ''}): {type(error).__name__}: {error} [{'; '.join(places)}]"


def serve() -> None:
    """Read jobs, a JSON text a line, from standard input; fork for each; answer by its process and, at its end, a line."""
    import matplotlib

    matplotlib.use("Agg")
    import sklearn.mixture  # noqa: F401
    import torch  # noqa: F401

    import separations.plotting
    import separations.training  # noqa: F401

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _run_job(job, answers)
        os.waitpid(child, 0)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        answers.write(json.dumps({"ended": round(used.ru_utime + used.ru_stime, 1)}) + "\n")


def _run_job(job: dict, answers) -> None:
    """The forked process: its output goes nowhere but the answer."""
    os.setsid()
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(job["seconds"]), int(job["seconds"]) + 5)
    )  # of work, however busy the machine
    answers.write(json.dumps({"process": os.getpid()}) + "\n")
    with open(os.devnull, "r+") as nowhere:
        for stream in (0, 1, 2):
            os.dup2(nowhere.fileno(), stream)
    try:
        with tempfile.TemporaryDirectory() as evidence:
            execute(job["key"], job["values"], evidence)
        error = ""
    except BaseException as problem:
        error = f"{type(problem).__name__}: {problem}"
    answers.write(json.dumps({"error": error}) + "\n")
    os._exit(0)


class Worker:
    """A process that runs chapters, started at the first use. seconds: of its processor, that the chapters took."""

    def __init__(self):
        self.process, self.seconds = None, 0.0

    def run(self, key: str, values: dict, timeout: float) -> str:
        """What went wrong in the notebook with these values; empty if nothing did."""
        if self.process is None or self.process.poll() is not None:
            environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
            command = [sys.executable, __file__, "serve"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        self.process.stdin.write(json.dumps({"key": key, "values": values, "seconds": timeout}) + "\n")
        self.process.stdin.flush()
        child = json.loads(self.process.stdout.readline())["process"]
        started, old = time.monotonic(), signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, 20 * timeout)
        try:
            answer = json.loads(self.process.stdout.readline())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        ended = answer if "ended" in answer else json.loads(self.process.stdout.readline())
        self.seconds = ended["ended"]
        if answer is ended:  # without a word: killed
            return f"no end within {timeout:g} s of work ({time.monotonic() - started:.0f} s), or killed by the system"
        return answer["error"]

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(30)


@pytest.fixture(scope="module")
def worker():
    one = Worker()
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FIRST, FIRST + max(SETS, 1)))
@pytest.mark.parametrize("key", KEYS if SETS else affordable(KEYS, BUDGET))
def test_a_set_of_parameters_that_the_rules_let_through_runs(key, number, worker):
    values, refused = drawn(key, number)
    start = smoke(key)
    changed = {name: value for name, value in values.items() if value != start[name]}
    error = worker.run(key, values, TIMEOUT)
    assert not error, f"{key}, set {number} ({refused} changes refused), {changed}: {error}"


@pytest.mark.parametrize("key", KEYS)
def test_a_chapter_declares_rules_and_every_profile_keeps_them(key):
    notebook = read_notebook(ROOT / "book" / f"{key}.ipynb")
    assert any("seed" in rule for rule in rules_of(notebook, key)), (
        f"{key}: no cell tagged 'parameter-rules', or none for the seed"
    )
    checked_parameters(notebook, {}, key)
    for path in sorted((ROOT / "params").glob("*.yml")):
        checked_parameters(notebook, profile_entry(read_params(path), key), f"{path.stem}: {key}")


@pytest.mark.parametrize(
    ("key", "values"), REFUSED, ids=[f"{key[-40:]}-{next(iter(values))}" for key, values in REFUSED]
)
def test_values_that_make_no_sense_in_a_chapter_are_refused_before_it_runs(key, values):
    with pytest.raises(ValueError, match=next(iter(values))) as caught:
        checked_parameters(read_notebook(ROOT / "book" / f"{key}.ipynb"), smoke(key) | values, key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_random_numbers_and_glued_ones_come_from_the_one_rule_for_each(key):
    source = "\n".join(
        source_of(c) for c in read_notebook(ROOT / "book" / f"{key}.ipynb")["cells"] if c["cell_type"] == "code"
    )
    for own in ("manual_seed", "default_rng", "random_state=seed", "from myst_nb import glue"):
        assert own not in source, (
            f"{own}: separations.numerics.seeds makes the streams, separations.ledger.prose keeps the numbers of the text"
        )


def test_the_sets_of_every_notebook_differ_and_are_the_same_the_next_time():
    for key in KEYS:
        found = [drawn(key, number)[0] for number in (FIRST, FIRST + 1, FIRST)]
        assert found[0] == found[2] != found[1]


def test_a_number_that_is_none_is_seen():
    assert NOT_A_NUMBER.search("gap 0.3 ± nan") and NOT_A_NUMBER.search("a,NaN,1")
    assert not NOT_A_NUMBER.search("nano, banan, non-nan-like")


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    serve()
