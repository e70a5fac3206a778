"""The REST API by replicas: `python -m defectvision.api ADDRESS HOST PORT REPLICAS`, which
`defectvision serve-api` starts; 0 replicas are one a core."""

from __future__ import annotations

import signal
import sys
from threading import Event

from defectvision.api.replicas import serving


def main(address: str, host: str, port: str, replicas: str) -> None:
    stop = Event()
    try:
        with serving(address, host, int(port), int(replicas) or None):
            # From here to the end, so that a second Ctrl+C does not end the ending.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            print(f"answering at http://{host}:{port}/api/v1  (stop with Ctrl+C)", flush=True)
            stop.wait()
            print("ending", flush=True)
        print("ended", flush=True)
    except KeyboardInterrupt:
        print("ended before it answered", flush=True)
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
