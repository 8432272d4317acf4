#!/usr/bin/env python3
"""A device that knows MQTT by paho. With protocol 4 (3.1.1) it behaves as
ThingsBoard's sample does: QoS 0, plain telemetry. With 5 it behaves as
ThingsBoard's Python SDK does: QoS 1, telemetry in arrays, it asks for the limits
of its session and begins with IDLE. See README.md.
"""

import json
import queue
import sys

sys.dont_write_bytecode = True

import paho.mqtt.client as mqtt  # noqa: E402

from checksum import checksum  # noqa: E402

ATTRIBUTES = "v1/devices/me/attributes"
TELEMETRY = "v1/devices/me/telemetry"
RPC = "v1/devices/me/rpc/"
KEYS = "fw_title,fw_version,fw_size,fw_checksum,fw_checksum_algorithm"
PATIENCE = 60  # seconds for one answer


class Device:
    def __init__(self, address, token, protocol):
        self.sdk = protocol == 5
        self.qos = 1 if self.sdk else 0
        self.asked = 0
        self.heard = queue.Queue()  # (topic, payload), and ("", …) for what is no publish
        kind = {4: mqtt.MQTTv311, 5: mqtt.MQTTv5}[protocol]
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
            self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, client_id="", protocol=kind)
        else:
            self.client = mqtt.Client(client_id="", protocol=kind)
        self.client.username_pw_set(token)
        self.client.on_connect = lambda _c, _u, _f, code, *_: self.heard.put(("", ("connected", code)))
        self.client.on_subscribe = lambda *_: self.heard.put(("", ("subscribed", 0)))
        self.client.on_disconnect = lambda _c, _u, code, *_: self.heard.put(("", ("disconnected", code)))
        self.client.on_message = lambda _c, _u, m: self.heard.put((m.topic, m.payload))
        host, port = address.rsplit(":", 1)
        self.client.connect(host, int(port), keepalive=60)
        self.client.loop_start()
        self.wait("", "connected")
        topics = [ATTRIBUTES, ATTRIBUTES + "/response/+", "v2/fw/response/+"]
        if self.sdk:
            topics += [RPC + "request/+", RPC + "response/+"]
        self.client.subscribe([(t, 1) for t in topics])
        self.wait("", "subscribed")

    def wait(self, topic, word=None, patience=PATIENCE):
        """The payload of the next message on topic; others are dropped, as a
        small device would. Without one it returns None."""
        while True:
            try:
                got, payload = self.heard.get(timeout=patience)
            except queue.Empty:
                if topic == ATTRIBUTES:
                    return None
                raise SystemExit(f"device_paho.py: no answer on {topic or word}") from None
            if got == "" and (payload[0] == "disconnected" or payload[0] == "connected" and payload[1] != 0):
                raise SystemExit(f"device_paho.py: {payload[0]} with {payload[1]}")
            if got == "v2/fw/error":
                raise SystemExit(f"device_paho.py: the server says {payload}")
            if got == topic and (word is None or payload[0] == word):
                return payload

    def publish(self, topic, payload):
        info = self.client.publish(topic, payload, qos=self.qos)
        info.wait_for_publish()

    def report(self, state, **values):
        if state:
            values["fw_state"] = state
        if self.sdk:
            values.setdefault("fw_error", "")
        self.publish(TELEMETRY, json.dumps([values] if self.sdk else values))
        if state:
            print(state, flush=True)

    def limits(self):
        self.publish(RPC + "request/1", json.dumps({"method": "getSessionLimits", "params": {"timeout": 5000}}))
        answer = json.loads(self.wait(RPC + "response/1"))
        if answer["maxPayloadSize"] < 1 or "rateLimits" not in answer:
            raise SystemExit(f"device_paho.py: session limits are {answer}")

    def attributes(self):
        self.asked += 1
        self.publish(f"{ATTRIBUTES}/request/{self.asked}", json.dumps({"sharedKeys": KEYS}))
        return json.loads(self.wait(f"{ATTRIBUTES}/response/{self.asked}")).get("shared", {})

    def offer(self, runs):
        """Waits until the attributes name another version than the one that runs."""
        found = self.attributes()
        while "fw_title" not in found or (found["fw_title"], found["fw_version"]) == runs:
            push = self.wait(ATTRIBUTES, patience=1)
            found = self.attributes() if push is None else json.loads(push)
        return found

    def fetch(self, size, chunk):
        self.asked += 1
        parts, got, n = [], 0, 0
        while got < size:
            self.publish(f"v2/fw/request/{self.asked}/chunk/{n}", str(chunk) if chunk and chunk < size else "")
            part = self.wait(f"v2/fw/response/{self.asked}/chunk/{n}")
            if not part:
                raise SystemExit(f"device_paho.py: chunk {n} is empty after {got} of {size} bytes")
            parts.append(part)
            got, n = got + len(part), n + 1
        return b"".join(parts)

    def close(self):
        self.client.on_disconnect = None
        self.client.disconnect()
        self.client.loop_stop()


def main(address, token, chunk, title, version, path, protocol):
    device = Device(address, token, int(protocol))
    runs = {"current_fw_title": title, "current_fw_version": version}
    if device.sdk:
        device.limits()
    device.report("IDLE" if device.sdk else None, **runs)
    offer = device.offer((title, version))
    for key in ("fw_title", "fw_version", "fw_checksum", "fw_checksum_algorithm"):
        if not isinstance(offer[key], str):
            raise SystemExit(f"device_paho.py: {key} is no string in {offer}")

    device.report("DOWNLOADING", **runs)
    image = device.fetch(offer["fw_size"], int(chunk))
    device.report("DOWNLOADED", **runs)
    with open(path, "wb") as file:
        file.write(image)
    if checksum(offer["fw_checksum_algorithm"], image) != offer["fw_checksum"]:
        device.report("FAILED", fw_error="checksum mismatch")
        raise SystemExit(f"device_paho.py: the image of {len(image)} bytes is not what {offer} tell")
    device.report("VERIFIED", **runs)
    device.report("UPDATING", **runs)
    device.report("UPDATED", current_fw_title=offer["fw_title"], current_fw_version=offer["fw_version"])
    device.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
