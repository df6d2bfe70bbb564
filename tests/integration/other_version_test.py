#!/usr/bin/python3
"""A supervisorctl beside a supervisor of another version: an upgrade half done, or two installations on one machine."""

import socket
import sys
import threading

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

FAILED, USAGE = 1, 2


class OtherVersion(ProgramTest):
    needs = ("supervisorctl",)

    def test_a_supervisor_of_another_version_is_said_to_be_one(self):
        place = self.folder / "other.sock"
        body = b'{"type":"about:blank","title":"Not found","status":404,"detail":"There is no such thing."}'
        answer = (b"HTTP/1.1 404 Not Found\r\nServer: trainer-supervisor/9.9.9\r\nConnection: close\r\n"
                  b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
        verbs = (("status",), ("stop",), ("events",), ("logs",), ("incidents",), ("incidents", "show", "latest"), ("reload",))
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(place))
            other.listen()

            def serve():
                for _ in verbs:
                    client, _ = other.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            for verb in verbs:
                asked = self.run_program("supervisorctl", "--socket", place, *verb)
                self.assertIn(asked.returncode, (FAILED, USAGE), verb)
                self.assertIn("9.9.9", asked.stderr, verb)


if __name__ == "__main__":
    main()
