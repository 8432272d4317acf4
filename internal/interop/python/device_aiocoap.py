"""A device on aiocoap, plain or with a pre-shared key. With chunks each is a
request of its own; without, the library puts the blocks of one answer together."""

import asyncio
import json
import sys
from urllib.parse import urlencode

import aiocoap

from checksum import checksum

KEYS = "fw_title,fw_version,fw_size,fw_checksum,fw_checksum_algorithm"
PATIENCE = 60  # seconds for one answer


class Device:
    def __init__(self, context, address, secret):
        self.context = context
        self.address = address
        if secret.startswith("psk:"):
            _, identity, key = secret.split(":")
            context.client_credentials.load_from_dict({
                f"{address}/*": {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}},
            })
            self.api, self.firmware = "/api/v1", "/fw"  # the handshake has told who speaks
        else:
            self.api, self.firmware = f"/api/v1/{secret}", f"/fw/{secret}"

    async def ask(self, code, path, payload=b"", **options):
        message = aiocoap.Message(code=code, uri=self.address + path, payload=payload, **options)
        return await asyncio.wait_for(self.context.request(message).response, PATIENCE)

    async def good(self, code, path, payload=b""):
        answer = await self.ask(code, path, payload)
        if not answer.code.is_successful():
            raise SystemExit(f"device_aiocoap.py: {path}: {answer.code} {answer.payload}")
        return answer.payload

    async def report(self, **values):
        await self.good(aiocoap.POST, f"{self.api}/telemetry", json.dumps(values).encode())

    async def attributes(self):
        answer = await self.ask(aiocoap.GET, f"{self.api}/attributes?sharedKeys={KEYS}")
        if answer.code == aiocoap.NOT_FOUND:  # none of the keys is there
            return {}
        return json.loads(answer.payload).get("shared", {})

    async def offer(self, runs):
        """Observes the attributes until they name what the device does not run."""
        message = aiocoap.Message(code=aiocoap.GET, uri=f"{self.address}{self.api}/attributes", observe=0)
        observation = self.context.request(message)
        await asyncio.wait_for(observation.response, PATIENCE)
        found = await self.attributes()
        pushes = aiter(observation.observation)
        while "fw_title" not in found or (found["fw_title"], found["fw_version"]) == runs:
            await asyncio.wait_for(anext(pushes), PATIENCE)
            found = await self.attributes()
        observation.observation.cancel()
        return found

    async def fetch(self, offer, chunk):
        named = {"title": offer["fw_title"], "version": offer["fw_version"]}
        if not chunk:
            return await self.good(aiocoap.GET, f"{self.firmware}?{urlencode(named)}")
        image = b""
        for n in range((offer["fw_size"] + chunk - 1) // chunk):
            image += await self.good(aiocoap.GET, f"{self.firmware}?{urlencode({**named, 'size': chunk, 'chunk': n})}")
        return image


async def main(address, secret, chunk, title, version, path):
    context = await aiocoap.Context.create_client_context()
    device = Device(context, address, secret)
    runs = {"current_fw_title": title, "current_fw_version": version}
    await device.report(**runs)
    offer = await device.offer((title, version))
    await device.report(**runs, fw_state="DOWNLOADING")
    image = await device.fetch(offer, int(chunk))
    await device.report(**runs, fw_state="DOWNLOADED")
    if checksum(offer["fw_checksum_algorithm"], image) != offer["fw_checksum"]:
        await device.report(fw_state="FAILED", fw_error="checksum mismatch")
        raise SystemExit(f"device_aiocoap.py: the image of {len(image)} bytes is not what {offer} tell")
    with open(path, "wb") as file:
        file.write(image)
    await device.report(**runs, fw_state="VERIFIED")
    await device.report(**runs, fw_state="UPDATING")
    await device.report(current_fw_title=offer["fw_title"], current_fw_version=offer["fw_version"], fw_state="UPDATED")
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
