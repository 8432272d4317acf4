"""ThingsBoard's own device SDK over HTTP, as its example of a firmware update uses
it: connect, and look for an update. One look is one pass, so it looks again
until there was one."""

import os
import sys
import time

from tb_device_http import TBHTTPDevice


def main(url, token, chunk, title, version, image):
    device = TBHTTPDevice(url, token, "interop", int(chunk))
    if not device.connect():
        raise SystemExit("sdk_http.py: no connection")
    device.current_firmware_info.update(current_fw_title=title, current_fw_version=version)
    while not os.path.exists(image):
        device.get_firmware_update()
        time.sleep(0.5)
    time.sleep(1)  # a thread of the SDK sends the last report


if __name__ == "__main__":
    main(*sys.argv[1:])
