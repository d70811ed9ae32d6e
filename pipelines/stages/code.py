"""code: the source of each stage -> reports/<family>/code/<stage>.json, a dependency of that stage; run on every `dvc repro`."""

from pipelines import discovery, errors, folders
from pipelines.fingerprints import fingerprint
from pipelines.fingerprints.fingerprint import STAGES, Code


def main(family: str) -> None:
    """Write the fingerprints, and print which modules have changed."""
    code = Code(discovery.validate(family))
    for stage in STAGES:
        path, now = fingerprint.report(family, stage), code.fingerprint(stage)
        before = path.read_text() if path.exists() else None
        if before and before != now:
            names = ", ".join(fingerprint.changed(code, stage, before)) or "fewer modules are imported"
            print(f"{family}: the code of {stage} has changed ({names})")
        if before != now:
            folders.write(path, now)


if __name__ == "__main__":
    with errors.printed_once():
        main(**errors.overrides("family"))
