#!/usr/bin/env python3
"""Lints the corpus of `octroi cert issue --corpus DIR` with pkilint and lists where we differ.

    pip install pkilint && python3 tests/linters/corpus_with_pkilint.py DIR

What pkilint says of the member `good` is left out everywhere. The rules of the CA/Browser Forum and
of Microsoft are for servers on the public web: they count where we find something too, and not where
we find nothing.
docs/src/reference/pkilint.md explains each line.
"""

import json
import pathlib
import sys

from pkilint import etsi, finding_filter, loader
from pkilint.etsi.etsi_constants import CertificateType
from pkilint.pkix import certificate

KIND = CertificateType.from_option_str("QEVCP-W-PSD2-EIDAS-NON-BROWSER-FINAL-CERTIFICATE")
SERIOUS = {"FATAL", "ERROR", "WARNING"}
ELSEWHERE = ("cabf.", "msft.")
END = "-----END CERTIFICATE-----"


def findings(validator, name, pem):
    leaf = pem[: pem.index(END) + len(END)] + "\n" if END in pem else pem
    try:
        document = loader.RFC5280CertificateDocumentLoader().load_pem_document(leaf, name)
        results = validator.validate(document.root)
        results, _ = finding_filter.filter_results(etsi.create_etsi_finding_filters(KIND), results)
    except Exception as error:  # whatever it raises, it could not read the certificate
        return {"unreadable:" + type(error).__name__}
    return {
        description.finding.code
        for result in results
        for description in result.finding_descriptions
        if description.finding.severity.name in SERIOUS
    }


def main():
    directory = pathlib.Path(sys.argv[1])
    manifest = json.loads((directory / "manifest.json").read_text())
    validator = certificate.create_pkix_certificate_validator_container(
        etsi.create_decoding_validators(KIND), etsi.create_validators(KIND)
    )
    said = {
        member["name"]: findings(
            validator, member["name"], (directory / member["chain"]).read_text(errors="replace")
        )
        for member in manifest["members"]
    }
    usual = said["good"]
    agreed = 0
    print("good:", " ".join(code for code in sorted(usual) if not code.startswith(ELSEWHERE)) or "nothing")
    for member in manifest["members"]:
        theirs = sorted(said[member["name"]] - usual)
        expect = member["expect"]
        ours = expect["lint"] or expect["warning"]
        if ours and not theirs:
            print(f"only ours   {member['name']}: {ours}")
        elif theirs and not ours and expect["reason"] != "certificate_untrusted":
            theirs = [code for code in theirs if not code.startswith(ELSEWHERE)]
            if theirs:
                print(f"only theirs {member['name']}: {' '.join(theirs)}")
            else:
                agreed += 1
        else:
            agreed += 1
    print(f"{agreed} of {len(said)} members: both find something, or both nothing")


if __name__ == "__main__":
    main()
