// Registers, and subscribes, with SOFARPC's Node.js library, as the orders on standard input say, in JSON a line.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { ZookeeperRegistry } = require('sofa-rpc-node').registry;

// Whatever a library prints is not among the answers.
const answer = what => fs.writeSync(1, JSON.stringify(what) + '\n');
console.log = console.error;
const quiet = () => {};
const logger = { info: quiet, debug: quiet, warn: quiet, error: console.error };

const key = order => `${order.service} ${order.host}:${order.port}`;

async function main() {
  const address = `${process.argv[1]}/sofa-rpc`;
  const [ writer, reader ] = [ 1, 2 ].map(() => new ZookeeperRegistry({ logger, address, cluster: false }));
  await Promise.all([ writer.ready(), reader.ready() ]);
  const providers = new Map();
  const deeds = {
    add: order => {
      const url = `bolt://${order.host}:${order.port}?weight=${order.weight || 100}&appName=test`;
      providers.set(key(order), { interfaceName: order.service, url });
      return writer.register(providers.get(key(order)));
    },
    remove: order => writer.unRegister(providers.get(key(order))),
    list: order => new Promise(resolve => {
      const config = { interfaceName: order.service };
      const listener = urls => {
        reader.unSubscribe(config, listener);
        resolve(urls.map(one => new URL(one).host).sort());
      };
      reader.subscribe(config, listener);
    }),
  };
  answer({ ok: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    try {
      const found = await deeds[order.op](order);
      answer({ ok: true, found: order.op === 'list' ? found : null });
    } catch (error) {
      answer({ ok: false, error: String(error) });
    }
  }
  process.exit(0);
}

main().catch(error => {
  answer({ ok: false, error: String(error) });
  process.exit(1);
});
