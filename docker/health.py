"""Does what this container serves answer? Exit code 0 or 1, and a line that says why. Standard library only.

health.py service|orthanc|ohif
"""

import os
import sys
import urllib.error
import urllib.request

ADDRESSES = {
    "service": f"http://127.0.0.1:{os.environ.get('MASK2SEG_STATUS_PORT', '8043')}/healthz",
    "orthanc": f"http://127.0.0.1:{os.environ.get('ORTHANC_HTTP_PORT', '8042')}/system",
    "ohif": "http://127.0.0.1:3000/app-config.js",
}
ASKS_FOR_A_LOGIN = 401


def main(what: str) -> int:
    """Ask once."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(ADDRESSES[what], timeout=4) as answer:
            print(f"{what}: {answer.status}")
            return 0
    except urllib.error.HTTPError as error:
        print(f"{what}: {error.code}")
        return 0 if error.code == ASKS_FOR_A_LOGIN else 1
    except OSError as error:
        print(f"{what}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
