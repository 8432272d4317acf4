'use strict';
// A device on npm's coap. With chunks each is a request of its own, small enough
// for one datagram; without, the library puts the blocks of one answer together.

const coap = require('coap');
const { keys, play, within } = require('./device.js');

const patience = 60000;

class Device {
  constructor(address, token) {
    const at = new URL(address);
    this.at = { hostname: at.hostname, port: Number(at.port) };
    this.token = token;
  }

  // ask is one request; anything but the code expected is an error.
  ask(code, method, pathname, query, payload) {
    const answered = new Promise((resolve, reject) => {
      const req = coap.request({ ...this.at, method, pathname, query });
      req.on('response', (res) => {
        if (res.code === code) resolve(res.payload);
        else reject(new Error(`${method} ${pathname}?${query}: ${res.code} ${res.payload}`));
      });
      req.on('error', reject);
      req.end(payload);
    });
    return within(patience, pathname, answered);
  }

  report(values) {
    return this.ask('2.01', 'POST', `/api/v1/${this.token}/telemetry`, '', Buffer.from(JSON.stringify(values)));
  }

  // A device without any of the keys is answered 4.04.
  async attributes() {
    try {
      return JSON.parse(await this.ask('2.05', 'GET', `/api/v1/${this.token}/attributes`, `sharedKeys=${keys}`)).shared || {};
    } catch (err) {
      if (/ 4\.04 /.test(err.message)) return {};
      throw err;
    }
  }

  // One observation serves all pushes.
  push() {
    if (!this.seen) {
      const req = coap.request({ ...this.at, pathname: `/api/v1/${this.token}/attributes`, observe: true });
      this.seen = true;
      req.on('response', (res) => {
        this.observed = res;
        res.on('data', (data) => this.hear(data));
      });
      req.end();
    }
    return new Promise((hear) => { this.hear = hear; });
  }

  async fetch(offer, chunk) {
    const named = `title=${encodeURIComponent(offer.fw_title)}&version=${encodeURIComponent(offer.fw_version)}`;
    if (!chunk) return this.ask('2.05', 'GET', `/fw/${this.token}`, named);
    const parts = [];
    for (let n = 0; n * chunk < offer.fw_size; n++) {
      parts.push(await this.ask('2.05', 'GET', `/fw/${this.token}`, `${named}&size=${chunk}&chunk=${n}`));
    }
    return Buffer.concat(parts);
  }
}

async function main(address, token, chunk, title, version, image) {
  const device = new Device(address, token);
  await play(device, Number(chunk), title, version, image);
  device.observed.close();
  process.exit(0); // the library keeps its socket for a while
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err);
  process.exit(1);
});
