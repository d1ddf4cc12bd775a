"""What depends on what: notebook + library modules it uses + its parameters + pinned requirements -> executed notebook -> book.

    snakemake                            execute all notebooks at their defaults and render the book
    snakemake --config profile=smoke     the same with the parameters of params/smoke.yml
    snakemake tests                      unit tests, structure tests, nbval, golden numbers
    snakemake tables --config profile=longer tables=store
                                         execute the notebooks that params/longer.yml names, and store their tables

Freshness is a matter of content, not of time stamps: each sentinel or stamp belongs to a fingerprint, and one that belongs
to another fingerprint than the present is removed here, before the graph is built. So `git checkout` and `touch` cost
nothing, and a change of content, however old the file, is seen.

config: profile (laptop: the notebooks' own defaults), jobs (notebooks at a time; as many as cores), timeout (seconds a cell), strict,
tables (store: a run counts as fresh whatever tables are stored beside its notebook, for it is there to make them).

The folder may have any name: paths are relative to it, parameters that hold others are functions, since Snakemake reads braces in
plain ones, and each placeholder of a path in a command is quoted (`:q`).
"""

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "lib"))

from separations.book import chapters, rendered
from separations.book import settings as build_settings
from separations.files import file_hash, sha256
from separations.machine import cores
from separations.run.profiles import DEFAULT_PROFILE, Book


def checked():
    """Settings and table of contents; whatever is wrong with them is said in one line, and nothing is run."""
    try:
        book = Book(ROOT, str(config.get("profile", DEFAULT_PROFILE)))
        chapters.check_pages(book)
        return (
            book,
            book.params_file(),
            chapters.notebook_keys(book),
            build_settings.whole(config.get("timeout", 900), "timeout", high=build_settings.LONGEST),
            build_settings.whole(config.get("jobs", cores()), "jobs", high=4096),
            build_settings.yes(config.get("strict", ""), "strict"),
            build_settings.one_of(config.get("tables") or "", "tables", ("", "store")) == "store",
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f"Snakefile: {' '.join(str(error).split())}\n")
        sys.exit(2)


def path_of_python(wildcards):
    return sys.executable


BOOK, PARAMS, KEYS, TIMEOUT, JOBS, STRICT, STORE = checked()
RUNS = f"_build/runs/{BOOK.profile}"
HTML = rendered.stamp(BOOK, STRICT).relative_to(ROOT).as_posix()
GOLDEN = "_build/evidence"

# As many notebooks at a time as jobs, and never more threads than cores: two threads of a notebook on cores that are busy can be
# several times slower than one. Chapters that measure costs measure processor time.
THREADS = max(1, (workflow.cores or 1) // JOBS)


def digest(*patterns):
    """Fingerprint of the files that match: names and contents."""
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()})
    return sha256("\n".join(f"{path.relative_to(ROOT)} {file_hash(path)}" for path in files))


# What the tests read besides: they run commands of the pages, and look at how the graph and the targets are written.
BUILD = ("Makefile", "Snakefile", "sweep.smk", ".ci/run", "_config.yml", "_toc.yml", "profiles/*/*", "params/*.yml", "sweeps/*.yml")
BUILD += ("book/*.md", "book/appendix/*.md", "book/appendix/evidence/*.json", "book/_static/*", "book/*.bib")
# Tests that read the notebooks themselves: a change of a chapter runs these again, and not all the others.
BOOK_TESTS = [f"tests/test_{name}.py" for name in ("api", "batch_page", "book", "card", "committed", "field_map", "folding", "live_figures", "notation", "parameters_of_chapters", "stored_tables", "streams_of_chapters")]
CODE = ("lib/separations/**/*.py", "lib/separations/ledger/claims.yml", "lib/separations/*/assets/*", "constraints.txt", "requirements.txt")


def nbval_key(key):
    """nbval compares with the stored outputs, so these count too."""
    return sha256(BOOK.under(DEFAULT_PROFILE).expected(key)["key"] + file_hash(BOOK.notebook(key)))


def safely(function, *arguments):
    """A bad parameter or notebook fails its own rule, not the reading of this file."""
    try:
        return function(*arguments)
    except ValueError as error:
        return f"refused: {sha256(str(error))}"


# The other tests, in parts that take about as long as one another, so that the cores share them: a part is the tests of these names,
# and the last part all that remain.
OTHERS = [*BOOK_TESTS, "tests/test_golden.py", "tests/test_rendered.py", "tests/test_pages.py"]
PARTS = {
    "engine": ("run", "run_faults", "sweep", "sweep_faults", "sweep_inputs", "sweep_report", "slurm", "build", "staging", "benchmarks"),
    "training": ("recipes", "training", "checkpoints", "checkpoint_files", "interval_grid", "examination", "networks", "dit", "per_copy", "identity"),
}
PARTS = {part: [f"tests/test_{name}.py" for name in names] for part, names in PARTS.items()}
PARTS["rest"] = sorted({path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/test_*.py")} - {*OTHERS, *sum(PARTS.values(), [])})

STAMPS = {
    **{f"_build/tests/unit_{part}.ok": digest(*CODE, *BUILD, "tests/*.py", "pyproject.toml", "benchmarks/*.py") for part in PARTS},
    "_build/tests/structure.ok": digest(*CODE, *BUILD, "tests/*.py", "pyproject.toml", "book/**/*"),
    **{f"_build/tests/nbval/{key}.ok": safely(nbval_key, key) for key in KEYS},
}
STAMPS["_build/tests/golden.ok"] = sha256("".join(STAMPS.values()) + digest("tests/golden/*.json", "tests/test_golden.py"))


def forget(path):
    (ROOT / path).unlink(missing_ok=True)


if workflow.is_main_process:
    for key in KEYS:
        if chapters.chapter(BOOK, key, tables=not STORE).state != "fresh":
            forget(f"{RUNS}/{key}/SUCCESS")
    for stamp, fingerprint in STAMPS.items():
        if (ROOT / stamp).is_file() and (ROOT / stamp).read_text().strip() != fingerprint:
            forget(stamp)
    if not rendered.is_rendered(BOOK, STRICT):  # after the runs: one that is not fresh shows nothing
        forget(HTML)


wildcard_constraints:
    key="[^.]+",


localrules:
    all,
    notebooks,
    tests,
    tables,


# The sentinels are targets of their own: Snakemake does not miss an intermediate file whose descendant is there.
rule all:
    input:
        expand(f"{RUNS}/{{key}}/SUCCESS", key=KEYS),
        HTML,


rule notebooks:
    input:
        expand(f"{RUNS}/{{key}}/SUCCESS", key=KEYS),


rule tests:
    input:
        list(STAMPS),


# Only what the profile names: the other notebooks would run at their defaults. What was made is stored by `make tables`,
# also where one of the notebooks failed.
rule tables:
    input:
        lambda wildcards: [f"{RUNS}/{key}/SUCCESS" for key in BOOK.named()],


# The run writes everything else beside its sentinel, which is the only declared output: Snakemake deletes the outputs of a
# failed job, and the partial notebook and the log must stay.
rule execute:
    input:
        notebook=ancient("book/{key}.ipynb"),
        params=ancient([str(PARAMS.relative_to(ROOT))] if PARAMS else []),
    output:
        f"{RUNS}/{{key}}/SUCCESS",
    log:
        f"{RUNS}/{{key}}/run.log",
    threads: THREADS
    params:
        python=path_of_python,
        options=lambda wildcards, input: ["--params", *input.params] if input.params else [],
        out=lambda wildcards, output: str(Path(output[0]).parent),
        timeout=TIMEOUT,
    shell:
        "{params.python:q} -m separations.run {input.notebook:q} {params.options:q} --out {params.out:q}"
        " --timeout {params.timeout} --threads {threads}"


# Whatever else a page shows is in the stamp, which holds a fingerprint of it: see `separations.book.rendered`.
rule render:
    input:
        expand(f"{RUNS}/{{key}}/SUCCESS", key=KEYS),
    output:
        HTML,
    threads: workflow.cores
    params:
        python=path_of_python,
        profile=BOOK.profile,
        strict=int(STRICT),
    shell:
        "{params.python:q} -m separations.book render --profile {params.profile:q} --strict {params.strict}"


rule unit:
    output:
        "_build/tests/unit_{part}.ok",
    wildcard_constraints:
        part="|".join(PARTS),
    threads: THREADS
    params:
        python=path_of_python,
        key=lambda wildcards, output: STAMPS[output[0]],
        tests=lambda wildcards: PARTS[wildcards.part],
    shell:
        "OMP_NUM_THREADS={threads} {params.python:q} -m pytest {params.tests:q} && echo {params.key:q} > {output:q}"


rule structure:
    output:
        "_build/tests/structure.ok",
    threads: THREADS
    params:
        python=path_of_python,
        key=STAMPS["_build/tests/structure.ok"],
        tests=BOOK_TESTS,
    shell:
        "OMP_NUM_THREADS={threads} {params.python:q} -m pytest {params.tests:q} && echo {params.key:q} > {output:q}"


# Evidence goes to a folder of its own first: a notebook that fails half-way leaves no half of its measures.
rule nbval:
    input:
        notebook=ancient("book/{key}.ipynb"),
    output:
        "_build/tests/nbval/{key}.ok",
    threads: THREADS
    params:
        python=path_of_python,
        key=lambda wildcards: STAMPS[f"_build/tests/nbval/{wildcards.key}.ok"],
        name=lambda wildcards: wildcards.key.replace("/", "__"),
        folder=GOLDEN,
        timeout=TIMEOUT,
    shell:
        "folder=\"$PWD\"/{params.folder:q}; name={params.name:q}; fresh=\"$folder/.$name\"; "
        "rm -rf -- \"$folder/$name\".json \"$folder/$name\".*.csv \"$fresh\" && mkdir -p -- \"$fresh\" && "
        "env -u MPLBACKEND -u MATPLOTLIBRC -u PYTHONSTARTUP -u JUPYTER_PATH JUPYTER_PREFER_ENV_PATH=1 IPYTHONDIR=\"$fresh/.ipython\" "
        "PYTHONHASHSEED=0 OMP_NUM_THREADS={threads} SEPARATIONS_EVIDENCE=\"$fresh\" "
        "{params.python:q} -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout {params.timeout} {input.notebook:q} && "
        "mv -- \"$fresh\"/* \"$folder\"/ && rm -rf -- \"$fresh\" && "
        "echo {params.key:q} > {output:q}"


rule golden:
    input:
        expand("_build/tests/nbval/{key}.ok", key=KEYS),
    output:
        "_build/tests/golden.ok",
    params:
        python=path_of_python,
        key=STAMPS["_build/tests/golden.ok"],
        folder=GOLDEN,
    shell:
        "SEPARATIONS_GOLDEN=\"$PWD\"/{params.folder:q} {params.python:q} -m pytest tests/test_golden.py && echo {params.key:q} > {output:q}"
