// kafkajs: writes the corpus of CORPUS.md, administers topics, and reads in groups; it cannot read without one.
//
//     node client.js write|admin BOOTSTRAP RUN BASE
//     node client.js group|committed BOOTSTRAP RUN BASE WRITER:STREAM,... ...

'use strict'

const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const codecs = require('./codecs')
const { Groups } = require('./groups')

const NAME = 'kafkajs'
const DIGEST = 0xb5b84ce0
const BIG_BATCH_BYTES = 8388682
const BIG_VALUE_BYTES = 8388608
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const STREAMS = [...CODECS, 'acks1', 'acks0', 'big']
const TYPES = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
}

// ---- the corpus (CORPUS.md)

const count = stream => ({ big: 1, acks0: 30, acks1: 30 })[stream] ?? 240
const partitionsOf = stream => (stream === 'big' ? 1 : 3)

function fnv(bytes) {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

function mix(x) {
  x ^= x >>> 16
  x = Math.imul(x, 0x85ebca6b)
  x ^= x >>> 13
  x = Math.imul(x, 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

class Random {
  constructor(seed, i, letters) {
    this.letters = letters
    this.state = mix(seed ^ mix((i + 1) >>> 0)) || 0x9e3779b9
  }

  next() {
    let x = this.state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.state = x >>> 0
    return this.state
  }

  bytes(n) {
    const out = Buffer.alloc(n)
    for (let k = 0; k < n; k++) {
      const drawn = this.next() >>> 24
      out[k] = this.letters ? 97 + (drawn % 26) : drawn
    }
    return out
  }

  repeated(length, period) {
    return Buffer.alloc(length, this.bytes(Math.min(length, period)))
  }
}

function record(seed, i, base, profile) {
  const text = profile === 'text'
  const random = new Random(seed, i, text)
  const empty = () => (text ? null : Buffer.alloc(0))
  let key = null
  if (i % 5 === 1) key = empty()
  else if (i % 5 !== 0) key = random.bytes(1 + (random.next() % 32))
  let length
  if (i === 0) length = 1
  else if (i % 80 === 50) length = 1000000
  else if (i % 40 === 21) length = 100000
  else if (i % 7 === 3) length = null
  else if (i % 7 === 4) length = 0
  else if (i % 8 === 5) length = 1000 + (random.next() % 9000)
  else length = 1 + (random.next() % 200)
  let value = null
  if (length === 0) value = empty()
  else if (length !== null) value = random.repeated(length, i % 2 ? 251 : 65521)
  if (profile === 'filled' && key === null && value === null) value = Buffer.alloc(0)
  if (text) return { key, value, headers: [['profile', Buffer.from('text')]], timestamp: null }
  const headers = []
  for (let h = 0; h < i % 4; h++) {
    const name = h === 2 ? 'h\u00e9' : 'h0'
    const kind = (i + h) % 6
    if (kind === 5 && profile === 'full') headers.push([name, null])
    else if (kind >= 4) headers.push([name, Buffer.alloc(0)])
    else headers.push([name, random.bytes(1 + (random.next() % 20))])
  }
  return { key, value, headers, timestamp: base + 100 * i - (i % 10 === 9 ? 450 : 0) }
}

const seedOf = (writer, stream) => fnv(Buffer.from(`${writer}/${stream}`))
const profileOf = writer => ({ kcat: 'text', kafkajs: 'filled', kafkapython: 'filled', aiokafka: 'filled' })[writer] ?? 'full'

function big(base, extra) {
  const value = new Random(seedOf(NAME, 'big'), 0, false).repeated(BIG_VALUE_BYTES + extra, 65521)
  return { key: null, value, headers: [], timestamp: base }
}

const expected = (writer, stream, i, base) =>
  (stream === 'big' ? big(base, 0) : record(seedOf(writer, stream), i, base, profileOf(writer)))

// What differs between a record of the corpus and a message that was read.
function difference(want, got) {
  const brief = bytes => (bytes === null ? 'null' : `${bytes.length} bytes, fnv ${fnv(bytes).toString(16)}`)
  const alike = (a, b) => (a === null || b === null ? a === b : a.equals(b))
  if (!alike(want.key, got.key)) return `key: want ${brief(want.key)}, got ${brief(got.key)}`
  if (!alike(want.value, got.value)) return `value: want ${brief(want.value)}, got ${brief(got.value)}`
  const headers = Object.entries(got.headers).flatMap(([name, values]) => [values].flat().map(bytes => [name, bytes]))
  const good = headers.length === want.headers.length
    && headers.every(([name, bytes], h) => name === want.headers[h][0] && alike(bytes, want.headers[h][1]))
  if (!good) return `headers: want ${JSON.stringify(want.headers)}, got ${JSON.stringify(headers)}`
  if (want.timestamp !== null && String(want.timestamp) !== got.timestamp) return `timestamp: want ${want.timestamp}, got ${got.timestamp}`
  return undefined
}

function digest() {
  const parts = []
  const number = n => {
    const out = Buffer.alloc(4)
    out.writeInt32BE(n)
    parts.push(out)
  }
  const put = bytes => {
    number(bytes === null ? -1 : bytes.length)
    if (bytes !== null) parts.push(bytes)
  }
  for (let i = 0; i < 60; i++) {
    const one = record(1, i, 0, 'full')
    put(one.key)
    put(one.value)
    number(one.headers.length)
    for (const [name, value] of one.headers) {
      put(Buffer.from(name))
      put(value)
    }
    const time = Buffer.alloc(8)
    time.writeBigInt64BE(BigInt(one.timestamp))
    parts.push(time)
  }
  return fnv(Buffer.concat(parts))
}

// ---- checks

let checks = 0

async function attempt(name, action) {
  let complaint
  try {
    complaint = await action()
  } catch (error) {
    complaint = String(error.stack ?? error)
  }
  checks += 1
  const line = complaint === undefined ? { check: name, ok: true } : { check: name, ok: false, detail: complaint.slice(0, 600) }
  console.log(JSON.stringify(line))
}

async function refused(type, action) {
  try {
    await action()
  } catch (error) {
    const got = error.type ?? error.errors?.[0]?.type ?? error.cause?.type
    return got === type ? undefined : `want ${type}, got ${got}: ${error}`
  }
  return `want ${type}, was accepted`
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// The library groups headers by name, so equal names stand together in the corpus.
function message(partition, { key, value, headers, timestamp }) {
  const grouped = {}
  for (const [name, bytes] of headers) (grouped[name] ??= []).push(bytes)
  return { partition, key, value, headers: grouped, timestamp: String(timestamp) }
}

// One send is one batch per partition, which the library never splits: chunks stay under max.message.bytes.
function* chunks(messages) {
  let chunk = []
  let bytes = 0
  for (const one of messages) {
    const size = (one.value?.length ?? 0) + 500
    if (chunk.length && (bytes + size > 900000 || chunk.length >= 40)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(one)
    bytes += size
  }
  if (chunk.length) yield chunk
}

async function send(kafka, topic, codec, acks, records, parts) {
  const producer = kafka.producer({ idempotent: acks === -1, maxInFlightRequests: 5, allowAutoTopicCreation: false })
  await producer.connect()
  try {
    const ends = Array(parts).fill(0)
    for (const chunk of chunks(records.map((one, i) => message(i % parts, one)))) {
      const answers = await producer.send({ topic, acks, compression: TYPES[codec], messages: chunk })
      if (acks === 0) continue
      for (const answer of answers) {
        if (Number(answer.baseOffset) !== ends[answer.partition]) {
          return `partition ${answer.partition}: want base offset ${ends[answer.partition]}, got ${answer.baseOffset}`
        }
      }
      for (const one of chunk) ends[one.partition] += 1
    }
  } finally {
    await producer.disconnect()
  }
}

async function ends(admin, topic) {
  const found = await admin.fetchTopicOffsets(topic)
  return found.sort((a, b) => a.partition - b.partition).map(one => `${one.low}-${one.high}`).join(' ')
}

async function wait(wanted, ask) {
  const deadline = Date.now() + 20000
  for (;;) {
    let found
    try {
      found = await ask()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    if (found === wanted) return undefined
    if (Date.now() > deadline) return `want ${wanted}, got ${found}`
    await sleep(100)
  }
}

async function write(kafka, admin, run, base) {
  for (const stream of STREAMS) {
    await attempt(`write ${stream}`, async () => {
      const topic = `${run}-${NAME}-${stream}`
      const parts = partitionsOf(stream)
      const configEntries = [{ name: 'retention.ms', value: '-1' }]
      if (stream === 'big') configEntries.push({ name: 'max.message.bytes', value: String(BIG_BATCH_BYTES) })
      await admin.createTopics({ topics: [{ topic, numPartitions: parts, replicationFactor: 1, configEntries }] })
      const started = await wait(Array(parts).fill('0-0').join(' '), () => ends(admin, topic))
      if (started) return started
      const records = Array.from({ length: count(stream) }, (_, i) => expected(NAME, stream, i, base))
      const acks = { acks0: 0, acks1: 1 }[stream] ?? -1
      const complaint = await send(kafka, topic, CODECS.includes(stream) ? stream : 'none', acks, records, parts)
      if (complaint) return complaint
      return wait(Array(parts).fill(`0-${records.length / parts}`).join(' '), () => ends(admin, topic))
    })
  }
  await attempt('one byte over max.message.bytes', () =>
    refused('MESSAGE_TOO_LARGE', () => send(kafka, `${run}-${NAME}-big`, 'none', -1, [big(base, 1)], 1)))
}

async function administer(kafka, admin, run, base) {
  const topic = `${run}-${NAME}-admin`
  const configs = { 'max.message.bytes': '2000000', 'retention.ms': '-1' }
  const create = (topic, numPartitions, configs) => admin.createTopics({
    topics: [{
      topic, numPartitions, replicationFactor: 1,
      configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })),
    }],
  })
  const partitions = async () => {
    if (!(await admin.listTopics()).includes(topic)) return 'none'
    return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  }
  await attempt('create topic', async () => {
    if (!(await create(topic, 3, configs))) return 'said to exist already'
    return wait(3, partitions)
  })
  // The library swallows TOPIC_ALREADY_EXISTS and gives false.
  await attempt('create it again', async () => ((await create(topic, 3, {})) ? 'was accepted' : undefined))
  await attempt('create with an unknown config', () =>
    refused('INVALID_CONFIG', () => create(`${topic}-bad`, 1, { 'no.such.config': '1' })))
  await attempt('create with 0 partitions', () => refused('INVALID_PARTITIONS', () => create(`${topic}-bad`, 0, {})))
  await attempt('create partitions', async () => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    return wait(5, partitions)
  })
  await attempt('create fewer partitions', () =>
    refused('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] })))
  await attempt('describe configs', async () => {
    const found = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: 2, name: topic }] })
    const entries = Object.fromEntries(found.resources[0].configEntries.map(one => [one.configName, one.configValue]))
    const wrong = Object.keys(configs).filter(name => entries[name] !== configs[name])
    return wrong.length ? `wrong: ${wrong.map(name => `${name}=${entries[name]}`)}` : undefined
  })
  await attempt('alter configs', async () => {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: topic, configEntries: [{ name: 'max.message.bytes', value: '3000000' }] }],
    })
    return wait('3000000', async () => {
      const found = await admin.describeConfigs({ resources: [{ type: 2, name: topic }] })
      return found.resources[0].configEntries.find(one => one.configName === 'max.message.bytes')?.configValue
    })
  })
  await attempt('delete records', async () => {
    const records = Array.from({ length: 10 }, (_, i) => record(9, i, base, 'filled'))
    const complaint = await send(kafka, topic, 'none', -1, records, 1)
    if (complaint) return complaint
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
    return wait('4-10 0-0 0-0 0-0 0-0', () => ends(admin, topic))
  })
  await attempt('offsets by time', async () => {
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, base + 701)
    const at = found.find(one => one.partition === 0)?.offset
    // Record 9 is dated before record 8, so 8 is the first at or after BASE + 701.
    return at === '8' ? undefined : `want 8, got ${at}`
  })
  await attempt('describe cluster', async () => {
    const { brokers, controller, clusterId } = await admin.describeCluster()
    return brokers.length === 1 && controller === brokers[0].nodeId && clusterId ? undefined : `${brokers.length} ${controller} ${clusterId}`
  })
  await attempt('delete topic', async () => {
    await admin.deleteTopics({ topics: [topic] })
    return wait('none', partitions)
  })
  await attempt('delete it again', () =>
    refused('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [topic] })))
}

async function main() {
  const [verb, bootstrap, run, base, ...words] = process.argv.slice(2)
  await codecs.ready()
  await attempt('corpus digest', async () => (digest() === DIGEST ? undefined : digest().toString(16)))
  const kafka = new Kafka({ clientId: 'ringwood-tests', brokers: [bootstrap], logLevel: logLevel.ERROR, retry: { initialRetryTime: 100, retries: 5 } })
  const admin = kafka.admin()
  await admin.connect()
  if (verb === 'write') await write(kafka, admin, run, Number(base))
  else if (verb === 'admin') await administer(kafka, admin, run, Number(base))
  else if (verb === 'group' || verb === 'committed') {
    const corpus = { count, partitionsOf, expected, difference }
    const groups = new Groups({ kafka, admin, corpus, attempt, refused }, NAME, run, Number(base), words)
    await (verb === 'group' ? groups.play() : groups.committed())
  } else throw new Error(`no such verb: ${verb}`)
  await admin.disconnect()
  console.log(JSON.stringify({ end: checks }))
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
