"""ThingsBoard's own device SDK over MQTT, as its example of a firmware update
uses it: connect, ask once, wait. Everything between is the SDK's."""

import sys
import time

from tb_device_mqtt import TBDeviceMqttClient


def main(address, token, chunk, title, version, _image):
    host, port = address.rsplit(":", 1)
    client = TBDeviceMqttClient(host, int(port), username=token, chunk_size=int(chunk))
    client.connect()
    while not client.is_connected():
        time.sleep(0.05)
    client.current_firmware_info.update(current_fw_title=title, current_fw_version=version)
    client.get_firmware_update()
    while client.current_firmware_info["fw_state"] != "UPDATED":
        time.sleep(0.05)
    time.sleep(1)  # the last report is on its way
    client.disconnect()
    client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
