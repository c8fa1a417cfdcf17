"""What axe-core finds wrong with an open page for somebody who cannot see it well, or who uses it without a mouse.

    assert violations(seen.page) == []

The script lies in axe-playwright-python; nothing is fetched. It judges what is shown: open what is folded first, and
ask once a colour scheme. It cannot tell whether an alternative text is true, nor whether the keyboard reaches
everything. Contrast over a picture is not judged either.
"""

from typing import Any


def violations(page: Any) -> list[str]:
    """One line an element that breaks a rule: the rule, how bad, the element's selector, and what is wrong.

    `color-contrast (serious): .score: Element has insufficient color contrast of 2.32 (...)`
    """
    from axe_playwright_python.sync_playwright import Axe

    found: list[str] = []
    for rule in Axe().run(page).response["violations"]:
        for element in rule["nodes"]:
            # A selector is a list where the element lies in a frame or in a shadow tree.
            selector = " ".join(str(part) for part in element["target"])
            checks = element["any"] + element["all"] + element["none"]
            wrong = "; ".join(check["message"] for check in checks)
            found.append(f"{rule['id']} ({rule['impact']}): {selector}: {wrong}")
    return found
