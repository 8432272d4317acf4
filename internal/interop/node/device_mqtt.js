'use strict';
// A device on npm's mqtt: 3.1.1 with QoS 0, or 5.0 with QoS 1.

const mqtt = require('mqtt');
const { keys, play, within } = require('./device.js');

const attributes = 'v1/devices/me/attributes';
const patience = 60000;

class Device {
  constructor(client, qos) {
    this.client = client;
    this.qos = qos;
    this.asked = 0;
    this.waiting = new Map(); // by topic: who waits for its next message
    client.on('message', (topic, payload) => {
      const hear = this.waiting.get(topic);
      this.waiting.delete(topic);
      if (hear) hear(payload);
    });
  }

  next(topic) {
    return new Promise((hear) => this.waiting.set(topic, hear));
  }

  // ask publishes, and waits for what comes on another topic.
  async ask(topic, payload, answer) {
    const answered = this.next(answer);
    await this.client.publishAsync(topic, payload, { qos: this.qos });
    return within(patience, answer, answered);
  }

  report(values) {
    return this.client.publishAsync('v1/devices/me/telemetry', JSON.stringify(values), { qos: this.qos });
  }

  push() {
    return this.next(attributes);
  }

  async attributes() {
    const n = ++this.asked;
    const answer = await this.ask(`${attributes}/request/${n}`, JSON.stringify({ sharedKeys: keys }), `${attributes}/response/${n}`);
    return JSON.parse(answer).shared || {};
  }

  async fetch(offer, chunk) {
    const id = ++this.asked;
    const parts = [];
    for (let n = 0, got = 0; got < offer.fw_size; n++) {
      const part = await this.ask(`v2/fw/request/${id}/chunk/${n}`, chunk ? String(chunk) : '', `v2/fw/response/${id}/chunk/${n}`);
      if (part.length === 0) throw new Error(`chunk ${n} is empty`);
      parts.push(part);
      got += part.length;
    }
    return Buffer.concat(parts);
  }
}

async function main(address, token, chunk, title, version, image, protocol) {
  const client = await mqtt.connectAsync(`mqtt://${address}`, { username: token, clientId: '', protocolVersion: Number(protocol), reconnectPeriod: 0 });
  client.on('error', (err) => { throw err; });
  const device = new Device(client, protocol === '5' ? 1 : 0);
  await client.subscribeAsync([attributes, `${attributes}/response/+`, 'v2/fw/response/+/chunk/+'], { qos: 1 });
  await play(device, Number(chunk), title, version, image);
  await client.endAsync();
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err);
  process.exit(1);
});
