"""A pseudo-terminal with a program in its foreground, as a person's shell would start it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios


class Terminal:
    def __init__(self, test, columns=120):
        self.test = test
        self.process = None
        self._said = bytearray()
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """As closing the window does: whoever is on the terminal gets SIGHUP."""
        for name in ("_master", "_slave"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
            setattr(self, name, -1)

    def start(self, *arguments):
        slave = self._slave
        self.process = subprocess.Popen([str(a) for a in arguments], cwd=self.test.folder, env=self.test.environment,
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        self.test.popens.append(self.process)

    def press_ctrl_c(self):
        os.write(self._master, b"\x03")

    def output(self):
        while select.select([self._master], [], [], 0)[0]:
            chunk = os.read(self._master, 65536)
            if not chunk:
                break
            self._said += chunk
        return self._said.decode(errors="replace")

    def says(self, text):
        found = text.search if isinstance(text, re.Pattern) else lambda said: text in said
        self.test.until(lambda: found(self.output()) or self.process.poll() is not None, f"{text!r}")
        self.test.assertTrue(found(self.output()), f"it ended without saying {text!r}: {self.output()!r}")

    def ends(self, status):
        self.test.until(lambda: (self.output(), self.process.poll() is not None)[1], "the end of the program")
        self.test.assertEqual(self.process.returncode, status, self.output())
        return self.output()
