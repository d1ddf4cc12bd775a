"""What depends on what: notebook + library modules it uses + its parameters + pinned requirements -> executed notebook -> book.

    snakemake                            execute all notebooks at their defaults and render the book
    snakemake --config profile=smoke     the same with the parameters of params/smoke.yml
    snakemake tests                      unit tests, structure tests, nbval, golden numbers
    snakemake tables --config profile=longer tables=store
                                         execute the notebooks that params/longer.yml names, and store their tables

Freshness is a matter of content, not of time stamps: each sentinel or stamp belongs to a fingerprint, and one that belongs
to another fingerprint than the present is removed here, before the graph is built. So `git checkout` and `touch` cost
nothing, and a change of content, however old the file, is seen.

config: profile (laptop: the notebooks' own defaults), jobs (notebooks at a time), timeout (seconds a cell), strict,
tables (store: a run counts as fresh whatever tables are stored beside its notebook, for it is there to make them).
"""

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "lib"))

from separations import book, chapters
from separations.dependencies import file_hash, sha256

PYTHON = sys.executable
PROFILE = config.get("profile", "laptop")
TIMEOUT = int(config.get("timeout", 900))
STRICT = str(config.get("strict", "")).lower() in ("1", "true", "yes")
RUNS = f"_build/runs/{PROFILE}"
PARAMS = chapters.params_file(ROOT, PROFILE)
KEYS = chapters.notebook_keys(ROOT)
STORE = config.get("tables", "") == "store"
HTML = f"_build/{book.html_folder(ROOT, PROFILE).name}/.rendered{'-strict' if STRICT else ''}"
GOLDEN = "_build/evidence"

# Finished runs of the profiles whose evidence the results page shows beside that of this one.
OTHERS = [f"_build/runs/{path.stem}/*/*/SUCCESS" for path in ROOT.glob("params/*.yml") if path.stem not in ("smoke", PROFILE)]

# One notebook at a time with all cores: the seconds in the book are then those of a reader who runs the chapter alone,
# and chapters that measure costs are not disturbed by a neighbour. jobs=2 is there for those who only want it done.
JOBS = int(config.get("jobs", 1))
THREADS = max(1, (workflow.cores or 1) // JOBS)


def digest(*patterns):
    """Fingerprint of the files that match: names and contents."""
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()})
    return sha256("\n".join(f"{path.relative_to(ROOT)} {file_hash(path)}" for path in files))


CODE = ("lib/separations/*.py", "lib/separations/claims.yml", "lib/separations/assets/*", "constraints.txt", "requirements.txt")


def nbval_key(key):
    """nbval compares with the stored outputs, so these count too."""
    return sha256(chapters.expected(ROOT, "laptop", key)["key"] + file_hash(ROOT / "book" / f"{key}.ipynb"))


def safely(function, *arguments):
    """A bad parameter or notebook fails its own rule, not the reading of this file."""
    try:
        return function(*arguments)
    except ValueError as error:
        return f"refused: {sha256(str(error))}"


STAMPS = {
    "_build/tests/unit.ok": digest(*CODE, "tests/*.py", "pyproject.toml", "benchmarks/*.py"),
    "_build/tests/structure.ok": digest(*CODE, "tests/test_book.py", "book/**/*", "params/*.yml", "_toc.yml"),
    **{f"_build/tests/nbval/{key}.ok": safely(nbval_key, key) for key in KEYS},
}
STAMPS["_build/tests/golden.ok"] = sha256("".join(STAMPS.values()) + digest("tests/golden/*.json", "tests/test_golden.py"))


def forget(path):
    (ROOT / path).unlink(missing_ok=True)


if workflow.is_main_process:
    for key in KEYS:
        if chapters.chapter(ROOT, PROFILE, key, tables=not STORE).state != "fresh":
            forget(f"{RUNS}/{key}/SUCCESS")
    for stamp, fingerprint in STAMPS.items():
        if (ROOT / stamp).is_file() and (ROOT / stamp).read_text().strip() != fingerprint:
            forget(stamp)


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
        lambda wildcards: [f"{RUNS}/{key}/SUCCESS" for key in chapters.named_by(ROOT, PROFILE)],


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
        python=PYTHON,
        options=lambda wildcards, input: f"--params {input.params}" if input.params else "",
        out=lambda wildcards, output: str(Path(output[0]).parent),
        timeout=TIMEOUT,
    shell:
        "{params.python:q} -m separations.run {input.notebook:q} {params.options} --out {params.out:q}"
        " --timeout {params.timeout} --threads {threads}"


rule render:
    input:
        expand(f"{RUNS}/{{key}}/SUCCESS", key=KEYS),
        "_config.yml",
        "_toc.yml",
        "lib/separations/claims.yml",
        [f"lib/separations/{name}.py" for name in ("book", "chapters", "staging", "pages", "evidence", "sweep_report", "sweep_pictures")],
        [str(path.relative_to(ROOT)) for pattern in ("sweeps/*.yml", "_build/sweeps/*/table.csv", *OTHERS) for path in sorted(ROOT.glob(pattern))],
        [str(path.relative_to(ROOT)) for path in sorted((ROOT / "book").rglob("*")) if path.is_file() and path.suffix != ".ipynb"],
    output:
        HTML,
    threads: workflow.cores
    params:
        python=PYTHON,
        options=f"--profile {PROFILE}" + (" --strict" if STRICT else ""),
    shell:
        "{params.python:q} -m separations.book render {params.options} && touch {output:q}"


rule unit:
    output:
        "_build/tests/unit.ok",
    threads: workflow.cores
    params:
        python=PYTHON,
        key=STAMPS["_build/tests/unit.ok"],
    shell:
        "{params.python:q} -m pytest tests --ignore tests/test_book.py --ignore tests/test_golden.py --ignore tests/test_rendered.py"
        " && echo {params.key:q} > {output:q}"


rule structure:
    output:
        "_build/tests/structure.ok",
    params:
        python=PYTHON,
        key=STAMPS["_build/tests/structure.ok"],
    shell:
        "{params.python:q} -m pytest tests/test_book.py && echo {params.key:q} > {output:q}"


# Evidence goes to a folder of its own first: a notebook that fails half-way leaves no half of its measures.
rule nbval:
    input:
        notebook=ancient("book/{key}.ipynb"),
    output:
        "_build/tests/nbval/{key}.ok",
    threads: THREADS
    params:
        python=PYTHON,
        key=lambda wildcards: STAMPS[f"_build/tests/nbval/{wildcards.key}.ok"],
        name=lambda wildcards: wildcards.key.replace("/", "__"),
        folder=str(ROOT / GOLDEN),
        timeout=TIMEOUT,
    shell:
        "rm -rf {params.folder}/{params.name}.json {params.folder}/{params.name}.*.csv {params.folder}/.{params.name} && mkdir -p {params.folder}/.{params.name} && "
        "env -u MPLBACKEND PYTHONHASHSEED=0 OMP_NUM_THREADS={threads} SEPARATIONS_EVIDENCE={params.folder}/.{params.name} "
        "{params.python:q} -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout {params.timeout} {input.notebook:q} && "
        "mv {params.folder}/.{params.name}/* {params.folder}/ && rm -rf {params.folder}/.{params.name} && "
        "echo {params.key:q} > {output:q}"


rule golden:
    input:
        expand("_build/tests/nbval/{key}.ok", key=KEYS),
    output:
        "_build/tests/golden.ok",
    params:
        python=PYTHON,
        key=STAMPS["_build/tests/golden.ok"],
        folder=str(ROOT / GOLDEN),
    shell:
        "SEPARATIONS_GOLDEN={params.folder:q} {params.python:q} -m pytest tests/test_golden.py && echo {params.key:q} > {output:q}"
