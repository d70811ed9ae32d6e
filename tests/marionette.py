"""Firefox for Selenium without geckodriver: Selenium's commands go to Firefox in its own protocol, Marionette."""

from pathlib import Path
from typing import Any

from marionette_driver.marionette import Marionette
from selenium.webdriver import FirefoxOptions
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

NAMES = {  # others: Selenium's name without "w3c", with a capital
    Command.CLICK_ELEMENT: "ElementClick",
    Command.FIND_CHILD_ELEMENT: "FindElement",
    Command.FIND_CHILD_ELEMENTS: "FindElements",
    Command.GET: "Navigate",
    Command.GET_ELEMENT_ARIA_LABEL: "GetComputedLabel",
    Command.SEND_KEYS_TO_ELEMENT: "ElementSendKeys",
    Command.W3C_ACTIONS: "PerformActions",
}
RESIZE = "[gBrowser.selectedBrowser.style.width, gBrowser.selectedBrowser.style.height] = arguments"
THROWN = """
const seen = Services.console.getMessageArray().filter((it) => it instanceof Ci.nsIScriptError && !(it.flags & it.warningFlag));
Services.console.reset();
return seen.filter((it) => it.sourceName.startsWith("http")).map((it) => it.errorMessage);
"""
SAID = """
const storage = Components.classes["@mozilla.org/consoleAPI-storage;1"].getService(Components.interfaces.nsIConsoleAPIStorage);
const seen = storage.getEvents();
storage.clearEvents();
return seen.filter((it) => it.level == "error").map((it) => it.arguments.join(" "));
"""


class Firefox(WebDriver):
    """A headless Firefox, with its log and profile in `folder`."""

    def __init__(self, program: str, folder: Path, settings: dict[str, Any] | None = None) -> None:
        own = {"bin": program, "headless": True, "gecko_log": str(folder / "log"), "workspace": str(folder), "prefs": settings or {}}
        self.marionette = Marionette(host="127.0.0.1", port=0, **own)
        super().__init__(command_executor=_Connection(self.marionette), options=FirefoxOptions(), file_detector=UselessFileDetector())

    def resize(self, width: int, height: int) -> None:
        self.inside(RESIZE, f"{width}px", f"{height}px")
        WebDriverWait(self, 20).until(lambda _: self.execute_script("return [innerWidth, innerHeight]") == [width, height])

    def complaints(self) -> list[str]:
        """What scripts of pages threw, and wrote to the console as errors, since the last call."""
        said: list[str] = self.marionette.execute_script(SAID, sandbox="system")
        return self.inside(THROWN) + said

    def inside(self, script: str, *arguments: str) -> Any:
        """What a script returns that runs in the browser itself."""
        with self.marionette.using_context("chrome"):
            return self.marionette.execute_script(script, arguments)

    def quit(self) -> None:
        self.marionette.quit()
        self.marionette.cleanup()


class _Connection:
    """What Selenium gives its commands to."""

    def __init__(self, marionette: Marionette) -> None:
        self.marionette = marionette

    def execute(self, command: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The answer in Selenium's form: a value, or the name of an error with its message."""
        if command == Command.NEW_SESSION:
            return {"value": {"capabilities": self.marionette.start_session(), "sessionId": self.marionette.session_id}}
        if command.startswith("findChild"):
            parameters["element"] = parameters.pop("id")
        answer = self.marionette.client.request(f"WebDriver:{_name(command)}", parameters)
        if answer.error:
            return {"status": answer.error["error"], "value": answer.error}
        return {"value": answer.result["value"] if [*answer.result] == ["value"] else answer.result}


def _name(command: str) -> str:
    plain = command.removeprefix("w3c")
    return NAMES.get(command, plain[0].upper() + plain[1:])
