// kafkajs as a member of the storm (STORM.md), with its own round robin.
//
//     node storm.js BOOTSTRAP TOPIC GROUP

'use strict'

const { Kafka, logLevel } = require('kafkajs')
const codecs = require('./codecs')

const [bootstrap, topic, group] = process.argv.slice(2)
const tell = lines => process.stdout.write(lines.map(line => line + '\n').join(''))
const assigned = partitions => tell([`a ${Date.now()} ${[...partitions].sort((a, b) => a - b).join(',')}`])
const failed = error => tell([`e ${error.name} ${error.message}`.replaceAll('\n', ' ')])

async function main() {
  await codecs.ready()
  const kafka = new Kafka({
    clientId: 'storm', brokers: [bootstrap], logLevel: logLevel.ERROR,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 1000 },
  })
  const consumer = kafka.consumer({ groupId: group, sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
  const { GROUP_JOIN, REBALANCING, CRASH } = consumer.events
  let has = []
  const change = partitions => assigned((has = partitions))
  consumer.on(GROUP_JOIN, event => change(event.payload.memberAssignment[topic] ?? []))
  consumer.on(REBALANCING, () => change([]))
  consumer.on(CRASH, event => failed(event.payload.error))
  process.stdin.resume()
  const end = new Promise(resolve => process.stdin.on('end', resolve))
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      if (!isRunning() || isStale() || batch.messages.length === 0) return
      tell(batch.messages.map(one => `r ${batch.partition} ${one.offset} ${one.key} ${one.value.readBigInt64BE(0)}`))
      const last = batch.messages[batch.messages.length - 1].offset
      const next = String(BigInt(last) + 1n)
      try {
        await consumer.commitOffsets([{ topic, partition: batch.partition, offset: next }])
      } catch (error) {
        // The library will hand the batch out again under the assignment that it has.
        failed(error)
        assigned([])
        assigned(has)
        throw error
      }
      tell([`c ${Date.now()} ${batch.partition} ${next}`])
      resolveOffset(last)
      await heartbeat()
    },
  })
  await end
  await consumer.disconnect()
}

main().then(() => process.exit(0), error => {
  failed(error)
  process.exit(1)
})
