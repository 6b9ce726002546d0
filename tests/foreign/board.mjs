// Serves Bull Board for one queue: node board.mjs REDIS_URL QUEUE PORT; prints `ready` when it listens.
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue } from "bullmq";
import express from "express";

const [url, name, port] = process.argv.slice(2);
const { hostname, port: redisPort } = new URL(url);
const queue = new Queue(name, { connection: { host: hostname, port: Number(redisPort) } });
const serverAdapter = new ExpressAdapter();
createBullBoard({ queues: [new BullMQAdapter(queue)], serverAdapter });
express().use("/", serverAdapter.getRouter()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
