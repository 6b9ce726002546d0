// A program of others on RabbitMQ. It knows of Posthouse only docs/events (the schemas) and the names in docs/rabbitmq.md.
//   node events.mjs URL SCHEMAS publish KEY EVENTS   publishes events (JSON), each confirmed; says "published"
//   node events.mjs URL SCHEMAS listen COUNT         shows so many status events, one a line, after "ready"
//   node events.mjs URL SCHEMAS work COUNT           a worker: tells of so many mails that they are SENT, after "ready"
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { connect } from "amqplib";

const [url, schemas, command, ...rest] = process.argv.slice(2);
const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));

function checker(name) {
  const isValid = ajv.compile(JSON.parse(readFileSync(`${schemas}/${name}.json`)));
  return (event) => {
    if (!isValid(event)) throw new Error(ajv.errorsText(isValid.errors));
    return event;
  };
}

const send = checker("EmailSendEvent");
const status = checker("EmailStatusEvent");
const connection = await connect(url);
const channel = await connection.createConfirmChannel();
channel.on("return", () => {
  console.error("a message found no queue");
  process.exit(1);
});

async function publish(exchange, key, event) {
  channel.publish(exchange, key, Buffer.from(JSON.stringify(event)), {
    mandatory: true,
    persistent: true,
    contentType: "application/json",
  });
  await channel.waitForConfirms();
}

async function take(queue, count, handle) {
  let left = Number(count);
  await new Promise((done, fail) => {
    channel.consume(queue, (message) => {
      handle(JSON.parse(message.content))
        .then((taken) => {
          channel.ack(message);
          left -= taken;
          if (left <= 0) done();
        })
        .catch(fail);
    });
    console.log("ready");
  });
}

if (command === "publish") {
  const [key, events] = rest;
  for (const event of JSON.parse(events)) await publish("email.send.exchange", key, send(event));
  console.log("published");
} else if (command === "listen") {
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "email.status.exchange", "email.status");
  await take(queue, rest[0], async (event) => {
    console.log(JSON.stringify(status(event)));
    return 1;
  });
} else if (command === "work") {
  await take("email.send.queue", rest[0], async (event) => {
    const ids = send(event).eventIds ?? [event.eventId];
    for (const eventId of ids) {
      const occurredAt = new Date().toISOString();
      const told = { eventId, status: "SENT", attempt: 1, attempts: 1, provider: "theirs", occurredAt };
      await publish("email.status.exchange", "email.status", status(told));
    }
    return ids.length;
  });
}
await channel.close();
await connection.close();
