"""Import paths of version 0.1 before its modules moved into rooms, for code outside of this repository; they go with the next version.

Nothing in the library, the book or the tests uses them. A former module gives the names of the module that it became, and of its room.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    "numerics": "checks costs estimates seeds streaming=rows",
    "distributions": "coordinate_laws diffused fitted_gaussian lipschitz local_gaussians one_dimension product_mixtures scale_mixtures total_variation",
    "loss_gap": "gap_control=control gap_integral=integral gap_quadrature=quadrature gap_terms=terms gap_theory=theory",
    "relu": "relu_bricks=bricks relu_density=hoelder relu_quadratic=quadratic relu_scores=scores relu_softmax=softmax relu_time=timed",
    "networks": "dit dit_blocks dit_kernels network_lipschitz=lipschitz unet1d",
    "training": "checkpoints gradient_signal identity per_copy recipes run_identity training_run=state",
    "timesteps": "timesteps_interval=interval",
    "metrics": "baselines component_measures=components digit_features features measures=half_sampling neighbourhoods patches quality survival two_sample",
    "interval_study": "interval_grid=jobs interval_measures=experiment interval_summary=summary",
    "data": "data_command=command data_ecg=ecg data_fetch=fetch data_formats=formats data_images=images data_sources=sources",
    "plotting": "interactive=live interactive_page=live_page palette=colors pictures=images",
    "ledger": "findings prose stored_tables tables verdicts",
    "run": "dependencies=fingerprint environment executed kernel magics notebooks parameter_types parameters results run_folder=folder stopping",
    "sweep": "sweep_cluster=cluster sweep_file=file sweep_local=local sweep_pictures=pictures sweep_plan=plan sweep_profile=check_profile "
    "sweep_progress=progress sweep_table=table sweep_worker=worker",
    "book": "build_settings=settings chapters evidence markup pages records rendered staging store_tables student summary sweep_report=sweep_pages",
}  # fmt: skip
FORMER = {
    word.partition("=")[0]: (room, f"{room}.{word.rpartition('=')[2]}")
    for room, words in ROOMS.items()
    for word in words.split()
}
FORMER["krylov"] = ("numerics", "numerics.lanczos")
BESIDE = {
    "environment": "machine",
    "pages": "readable",
    "chapters": "run.profiles",
    "estimates": "numerics.intervals",
    "dependencies": "definitions",
    "streaming": "numerics.softmax",
}  # what moved away from it
HERE = __name__.rpartition(".")[0]


class _Finder:
    """Finds a former module; it comes after all other finders, so that a module that is there is never hidden."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        package, _, old = name.rpartition(".")
        return ModuleSpec(name, _Finder) if package == HERE and old in FORMER else None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType | None:
        return None

    @staticmethod
    def get_code(name: str):
        """What `python -m` runs."""
        now = FORMER[name.rpartition(".")[2]][1]
        return compile(f"import sys\nfrom {HERE}.{now} import main\nsys.exit(main())\n", f"<{name}>", "exec")

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        old = module.__name__.rpartition(".")[2]
        places = [FORMER[old][1], FORMER[old][0], *([BESIDE[old]] if old in BESIDE else [])]
        found = [importlib.import_module(f"{HERE}.{one}") for one in places]

        def __getattr__(name: str):
            for one in found:
                if hasattr(one, name):
                    return getattr(one, name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__doc__, module.__getattr__ = found[0].__doc__, __getattr__


def install() -> None:
    """Let former paths be imported."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
