// A producer of others by gRPC. It knows of Posthouse only records.proto.
//   node documents.mjs ADDRESS PROTO KEY save DOCUMENTS   saves each (JSON, fields as in the proto); shows the replies
//   node documents.mjs ADDRESS PROTO KEY wait EVENT_IDS   shows each document, one a line, once it is not PENDING any more
import { dirname } from "node:path";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [address, proto, key, command, given] = process.argv.slice(2);
const options = { keepCase: true, longs: Number, enums: String, defaults: true, includeDirs: [dirname(proto)] };
const { EmailRecords } = grpc.loadPackageDefinition(loadSync(proto, options)).posthouse.v1;
const records = new EmailRecords(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set("x-api-key", key);

function call(method, request) {
  return new Promise((done, fail) => {
    const deadline = { deadline: Date.now() + 10_000 };
    records[method](request, metadata, deadline, (error, reply) => (error ? fail(error) : done(reply)));
  });
}

async function closed(event_id) {
  for (const ends = Date.now() + 30_000; Date.now() < ends; await new Promise((go) => setTimeout(go, 50))) {
    const document = await call("GetEmail", { event_id });
    if (document.status !== "PENDING") return document;
  }
  throw new Error(`${event_id} stays PENDING`);
}

if (command === "save") {
  for (const document of JSON.parse(given)) console.log(JSON.stringify(await call("SaveEmail", document)));
} else if (command === "wait") {
  for (const id of JSON.parse(given)) console.log(JSON.stringify(await closed(id)));
}
records.close();
