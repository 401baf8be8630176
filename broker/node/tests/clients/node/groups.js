// Consumer groups: the part `group` of CORPUS.md. kafkajs has no static members.

'use strict'

const { AssignerProtocol } = require('kafkajs')

// Where the one partition that is set back is set back to.
const SET_BACK = 40

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// A member: what it has, and the records that it was given while `reading`.
class Member {
  constructor(kafka, groupId) {
    this.consumer = kafka.consumer({
      groupId, sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 200, maxBytesPerPartition: 10000000,
      allowAutoTopicCreation: false,
    })
    this.assigned = []
    this.joins = 0
    this.taken = []
    this.reading = false
    this.crash = undefined
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.assigned = placesOf(payload.memberAssignment)
      this.joins += 1
    })
    this.consumer.on(this.consumer.events.REBALANCING, () => { this.assigned = [] })
    this.consumer.on(this.consumer.events.CRASH, ({ payload }) => { this.crash = payload.error })
  }

  async start(topics) {
    await this.consumer.connect()
    await this.consumer.subscribe({ topics, fromBeginning: true })
    await this.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
        // What is not resolved is fetched again: nothing is lost by waiting for the membership to be stable.
        if (!this.reading) await sleep(50)
        else {
          for (const one of batch.messages) this.taken.push({ topic: batch.topic, partition: batch.partition, ...one })
          resolveOffset(batch.lastOffset())
        }
        await heartbeat()
      },
    })
  }
}

// Waits for a condition; a complaint if it never comes.
async function until(done, members) {
  const deadline = Date.now() + 30000
  while (!done()) {
    const crashed = members.find(one => one.crash)
    if (crashed) return `crashed: ${crashed.crash}`
    if (Date.now() > deadline) {
      return `not done in 30 s: ${members.map(one => `${one.joins} joins, ${one.assigned.length} partitions, ${one.taken.length} records`).join('; ')}`
    }
    await sleep(20)
  }
  return undefined
}

const placesOf = assignment =>
  Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map(p => `${topic}/${p}`)).sort()

class Groups {
  constructor({ kafka, admin, corpus, attempt, refused }, name, run, base, words) {
    Object.assign(this, { kafka, admin, corpus, attempt, refused, base })
    this.group = `${run}-${name}-group`
    this.streams = {}
    this.ends = {}
    for (const word of words) {
      const [writer, streams] = word.split(':')
      for (const stream of streams.split(',')) {
        const topic = `${run}-${writer}-${stream}`
        this.streams[topic] = [writer, stream]
        const parts = corpus.partitionsOf(stream)
        for (let p = 0; p < parts; p++) this.ends[`${topic}/${p}`] = corpus.count(stream) / parts
      }
    }
    this.topics = Object.keys(this.streams)
    this.first = `${this.topics[0]}/0`
    // What stays committed to the end of the run: one partition set back, the others at their ends.
    this.left = { ...this.ends, [this.first]: SET_BACK }
    this.total = Object.values(this.ends).reduce((sum, one) => sum + one, 0)
  }

  async member() {
    const member = new Member(this.kafka, this.group)
    await member.start(this.topics)
    return member
  }

  everythingOnce(members) {
    const next = Object.fromEntries(Object.keys(this.ends).map(place => [place, 0]))
    for (const member of members) {
      for (const one of member.taken) {
        const place = `${one.topic}/${one.partition}`
        if (!member.assigned.includes(place)) return `${place} came to a member that does not have it`
        if (Number(one.offset) !== next[place]) return `${place}: want offset ${next[place]}, got ${one.offset}`
        const [writer, stream] = this.streams[one.topic]
        const i = next[place] * this.corpus.partitionsOf(stream) + one.partition
        const complaint = this.corpus.difference(this.corpus.expected(writer, stream, i, this.base), one)
        if (complaint) return `${place} offset ${one.offset}: ${complaint}`
        next[place] += 1
      }
    }
    return same('ends', this.ends, next)
  }

  async groupIs(state, members) {
    const found = (await this.admin.describeGroups([this.group])).groups[0]
    if (found.errorCode) return `error ${found.errorCode}`
    if (found.state !== state) return `want ${state}, got ${found.state}`
    const got = found.members.map(one => placesOf(AssignerProtocol.MemberAssignment.decode(one.memberAssignment).assignment).join(' '))
    return same('assignments', members.map(one => one.assigned.join(' ')).sort(), got.sort())
  }

  async offsetsAre(groupId, want) {
    const got = {}
    for (const { topic, partitions } of await this.admin.fetchOffsets({ groupId, topics: this.topics })) {
      for (const { partition, offset } of partitions) if (offset !== '-1') got[`${topic}/${partition}`] = Number(offset)
    }
    return same('offsets', want, got)
  }

  async isListed(group) {
    return (await this.admin.listGroups()).groups.some(one => one.groupId === group)
  }

  deletionRefused(type, group) {
    return this.refused(type, async () => {
      try {
        await this.admin.deleteGroups([group])
      } catch (error) {
        throw error.groups?.[0]?.error ?? error
      }
    })
  }

  async play() {
    const { attempt, group, topics, admin } = this
    const pair = []
    await attempt('two members read everything once', async () => {
      for (let n = 0; n < 2; n++) pair.push(await this.member())
      const late = await until(() => pair.every(one => one.assigned.length > 0)
        && pair[0].assigned.length + pair[1].assigned.length === Object.keys(this.ends).length, pair)
      if (late) return late
      // A batch of the membership before may be in somebody's hands still.
      await sleep(700)
      for (const one of pair) one.reading = true
      const slow = await until(() => pair[0].taken.length + pair[1].taken.length >= this.total, pair)
      if (slow) return slow
      await sleep(300)
      return this.everythingOnce(pair)
    })
    await attempt('describe the live group', () => this.groupIs('Stable', pair))
    await attempt('delete the live group', () => this.deletionRefused('NON_EMPTY_GROUP', group))
    await attempt('commit and leave', async () => {
      try {
        for (const one of pair) {
          await one.consumer.commitOffsets(one.assigned.map(place => {
            const [topic, partition] = place.split('/')
            return { topic, partition: Number(partition), offset: String(this.ends[place]) }
          }))
        }
      } finally {
        for (const one of pair) await one.consumer.disconnect()
      }
      return (await this.groupIs('Empty', [])) ?? this.offsetsAre(group, this.ends)
    })
    await attempt('list groups', async () => ((await this.isListed(group)) ? undefined : 'it is not listed'))
    await attempt('the next member gets nothing old', async () => {
      const member = await this.member()
      member.reading = true
      try {
        const late = await until(() => member.assigned.length === Object.keys(this.ends).length, [member])
        await sleep(700)
        return late ?? (member.taken.length ? `${member.taken.length} records` : undefined)
      } finally {
        await member.consumer.disconnect()
      }
    })
    await attempt('offsets set back', async () => {
      await admin.setOffsets({ groupId: group, topic: topics[0], partitions: [{ partition: 0, offset: String(SET_BACK) }] })
      const want = Array.from({ length: this.ends[this.first] - SET_BACK }, (_, n) => `${this.first} ${SET_BACK + n}`)
      const member = await this.member()
      member.reading = true
      try {
        const late = await until(() => member.taken.length >= want.length, [member])
        if (late) return late
        await sleep(300)
        const differs = same('records', want, member.taken.map(one => `${one.topic}/${one.partition} ${one.offset}`))
        if (differs) return differs
      } finally {
        await member.consumer.disconnect()
      }
      return this.offsetsAre(group, this.left)
    })
    await attempt('offsets of an unknown group', () => this.offsetsAre(`${group}-none`, {}))
    await attempt('delete an unknown group', () => this.deletionRefused('GROUP_ID_NOT_FOUND', `${group}-none`))
    await attempt('delete an empty group', async () => {
      const other = `${group}-gone`
      await admin.setOffsets({ groupId: other, topic: topics[0], partitions: [{ partition: 1, offset: '7' }] })
      const complaint = await this.offsetsAre(other, { [`${topics[0]}/1`]: 7 })
      if (complaint) return complaint
      await admin.deleteGroups([other])
      return (await this.isListed(other)) ? 'it is still listed' : this.offsetsAre(other, {})
    })
  }

  // After the broker was killed: what `play` left is still there.
  async committed() {
    await this.attempt('committed offsets', () => this.offsetsAre(this.group, this.left))
    await this.attempt('the group is empty', () => this.groupIs('Empty', []))
  }
}

function same(what, want, got) {
  const flat = of => JSON.stringify(Array.isArray(of) ? of : Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)))
  return flat(want) === flat(got) ? undefined : `${what}: want ${flat(want)}, got ${flat(got)}`
}

module.exports = { Groups }
