'use strict';
// What the devices in JavaScript have in common. A device gives
//   report(values), attributes(), push() and fetch(offer, chunk),
// all of which return promises; play does the rest. The promise of push is kept
// when the attributes may have changed.

const { createHash } = require('node:crypto');
const { writeFileSync } = require('node:fs');

const keys = 'fw_title,fw_version,fw_size,fw_checksum,fw_checksum_algorithm';

async function offered(device, runs) {
  for (;;) {
    const pushed = device.push();
    const found = await device.attributes();
    const news = found.fw_title !== runs.current_fw_title || found.fw_version !== runs.current_fw_version;
    if (found.fw_title && news) return found;
    await within(60000, 'push', pushed);
  }
}

async function play(device, chunk, title, version, image) {
  const runs = { current_fw_title: title, current_fw_version: version };
  await device.report(runs);
  const offer = await offered(device, runs);
  if (offer.fw_checksum_algorithm !== 'SHA256') throw new Error(`no checksum of ours: ${JSON.stringify(offer)}`);
  if (!Number.isInteger(offer.fw_size)) throw new Error(`no size: ${JSON.stringify(offer)}`);

  await device.report({ ...runs, fw_state: 'DOWNLOADING' });
  const data = await device.fetch(offer, chunk);
  await device.report({ ...runs, fw_state: 'DOWNLOADED' });
  const sum = createHash('sha256').update(data).digest('hex');
  if (sum !== offer.fw_checksum || data.length !== offer.fw_size) {
    await device.report({ fw_state: 'FAILED', fw_error: 'checksum mismatch' });
    throw new Error(`${data.length} bytes with ${sum} are not what ${JSON.stringify(offer)} tell`);
  }
  writeFileSync(image, data);
  await device.report({ ...runs, fw_state: 'VERIFIED' });
  await device.report({ ...runs, fw_state: 'UPDATING' });
  await device.report({ current_fw_title: offer.fw_title, current_fw_version: offer.fw_version, fw_state: 'UPDATED' });
}

// within is a promise that is broken when it takes too long.
function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

module.exports = { keys, play, within };
