// Adds jobs to a BullMQ queue: node produce.mjs REDIS_URL QUEUE '[{"name": …, "data": …, "opts": …}]'; prints their ids.
import { Queue } from "bullmq";

const [url, name, jobs] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const queue = new Queue(name, { connection: { host: hostname, port: Number(port) } });
const added = await queue.addBulk(JSON.parse(jobs));
console.log(JSON.stringify(added.map((job) => ({ id: job.id, timestamp: job.timestamp }))));
await queue.close();
