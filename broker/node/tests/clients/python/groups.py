"""Consumer groups, for all three Python clients: the part `group` of CORPUS.md.

A `Client` gives `member(group, topics, instance)`, which joins, and the admin methods used here. A member is a `Member`.
"""

import asyncio
import time

import corpus
from driver import attempt, refusal

GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP = 69, 68
SESSION_MS, HEARTBEAT_MS = 6000, 300
SET_BACK = 40


class Member:
    """What one member of a group was given since its last assignment."""

    def __init__(self):
        self.assigned = set()
        self.assignments = 0
        self.taken = []

    def on_assigned(self, partitions):
        # Nothing is committed before everything is read, so whoever gets a partition reads it from its start.
        self.assigned = {(one.topic, one.partition) for one in partitions}
        self.assignments += 1
        self.taken = []

    def on_revoked(self):
        self.assigned = set()
        self.taken = []


async def drive(members, done, seconds=30):
    """Lets the members poll until `done` says so; a complaint if it never does."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            seen = [(one.assignments, len(one.assigned), len(one.taken)) for one in members]
            return f"not done in {seconds} s; assignments, partitions, records of the members: {seen}"
        await step(members)
    return None


async def step(members):
    # All at once: a rebalance is over only when every member polls.
    for one, got in zip(members, await asyncio.gather(*(one.poll(0.05) for one in members))):
        # Only now: what was taken before may have been dropped by a rebalance within the poll.
        one.taken.extend(got)


async def linger(members, seconds):
    """Lets the members poll for a while; what should not come would come now."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await step(members)


class Asked:
    """The streams of the group, out of `WRITER:STREAM,...` words."""

    def __init__(self, words, run, base):
        self.base = base
        self.streams = {}
        for word in words:
            writer, _, streams = word.partition(":")
            for stream in streams.split(","):
                self.streams[f"{run}-{writer}-{stream}"] = (writer, stream)
        self.topics = list(self.streams)
        self.ends = {
            (topic, p): len(range(p, corpus.records(stream), corpus.partitions(stream)))
            for topic, (_, stream) in self.streams.items() for p in range(corpus.partitions(stream))}
        self.total = sum(self.ends.values())
        # What stays committed to the end of the run: one partition set back, the others at their ends.
        self.left = {**self.ends, (self.topics[0], 0): SET_BACK}

    def everything_once(self, members):
        got = {}
        for one in members:
            for topic, partition, offset, record in one.taken:
                if (topic, partition) not in one.assigned:
                    return f"{topic}/{partition} came to a member that does not have it"
                got.setdefault((topic, partition), []).append((offset, record))
        for place, end in self.ends.items():
            offsets = [offset for offset, _ in got.get(place, [])]
            if offsets != list(range(end)):
                return f"{place}: want {end} dense offsets, got {offsets[:100]}"
            topic, partition = place
            writer, stream = self.streams[topic]
            for offset, record in got[place]:
                i = offset * corpus.partitions(stream) + partition
                complaint = corpus.difference(corpus.expected(writer, stream, i, self.base), record)
                if complaint:
                    return f"{place} offset {offset}: {complaint}"
        return None


async def play(client, name, words, run, base, report):
    asked = Asked(words, run, base)
    group = f"{run}-{name}-group"
    pair = []

    async def two_members():
        for _ in range(2):
            pair.append(await client.member(group, asked.topics))
        late = await drive(pair, lambda: all(one.assigned for one in pair)
                           and sum(len(one.taken) for one in pair) >= asked.total)
        if late:
            return late
        await linger(pair, 0.2)
        return asked.everything_once(pair)

    async def live():
        state, members = await client.group_state(group)
        want = sorted(sorted(one.assigned) for one in pair)
        if (state, members) != ("Stable", want):
            return f"want Stable and {want}, got {state} and {members}"
        return None

    async def leave():
        try:
            for one in pair:
                await one.commit()
        finally:
            for one in pair:
                await one.close()
        state = await client.group_state(group)
        if state != ("Empty", []):
            return f"want Empty without members, got {state}"
        return await offsets_are(client, group, asked.ends)

    async def listed():
        names = await client.group_names()
        return None if group in names else f"{group} is not in {names}"

    async def nothing_old():
        member = await client.member(group, asked.topics)
        try:
            late = await drive([member], lambda: len(member.assigned) == len(asked.ends))
            await linger([member], 0.7)
            if not late and member.taken:
                return f"{len(member.taken)} records, first {member.taken[0][:3]}"
            return late
        finally:
            await member.close()

    async def set_back():
        place = (asked.topics[0], 0)
        await client.set_offsets(group, {place: SET_BACK})
        member = await client.member(group, asked.topics)
        try:
            left = asked.ends[place] - SET_BACK
            late = await drive([member], lambda: len(member.taken) >= left)
            if late:
                return late
            await linger([member], 0.2)
            got = [one[:3] for one in member.taken]
            if got != [(*place, offset) for offset in range(SET_BACK, asked.ends[place])]:
                return f"want {SET_BACK} and on of {place}, got {got[:50]}"
        finally:
            await member.close()
        return await offsets_are(client, group, asked.left)

    async def unknown_offsets():
        found = await client.group_offsets(f"{group}-none")
        return None if found == {} else f"got {found}"

    async def delete():
        other = f"{group}-gone"
        want = {(asked.topics[0], 1): 7}
        await client.set_offsets(other, want)
        complaint = await offsets_are(client, other, want)
        if complaint:
            return complaint
        await client.delete_group(other)
        if other in await client.group_names():
            return "still listed"
        found = await client.group_offsets(other)
        return f"still has {found}" if found else None

    async def static():
        other = f"{group}-static"
        first, second = [await client.member(other, asked.topics, f"instance-{n}") for n in "ab"]
        restarted = None
        try:
            late = await drive([first, second], lambda: first.assigned and second.assigned
                               and len(first.assigned) + len(second.assigned) == len(asked.ends))
            if late:
                return late
            had, kept, times = first.assigned, second.assigned, second.assignments
            await first.close()
            restarted = await client.member(other, asked.topics, "instance-a")
            late = await drive([restarted, second], lambda: restarted.assigned)
            if late:
                return late
            # Longer than the heartbeats by which a member learns of a rebalance.
            await linger([restarted, second], 1.0)
            if restarted.assigned != had:
                return f"had {sorted(had)}, has {sorted(restarted.assigned)}"
            if (second.assigned, second.assignments) != (kept, times):
                return f"the other member was rebalanced: {second.assignments - times} assignments"
            return None
        finally:
            for one in [first if restarted is None else restarted, second]:
                await one.close()

    await attempt(report, "two members read everything once", two_members())
    await attempt(report, "describe the live group", live())
    await attempt(report, "delete the live group", refusal(client.delete_group(group), NON_EMPTY_GROUP))
    await attempt(report, "commit and leave", leave())
    await attempt(report, "list groups", listed())
    await attempt(report, "the next member gets nothing old", nothing_old())
    await attempt(report, "offsets set back", set_back())
    await attempt(report, "offsets of an unknown group", unknown_offsets())
    unknown = refusal(client.delete_group(f"{group}-none"), GROUP_ID_NOT_FOUND)
    await attempt(report, "delete an unknown group", unknown)
    await attempt(report, "delete an empty group", delete())
    await attempt(report, "a static member comes back", static())


async def committed(client, name, words, run, base, report):
    asked = Asked(words, run, base)
    group = f"{run}-{name}-group"

    async def empty():
        state = await client.group_state(group)
        return None if state == ("Empty", []) else f"want Empty without members, got {state}"

    await attempt(report, "committed offsets", offsets_are(client, group, asked.left))
    await attempt(report, "the group is empty", empty())


async def offsets_are(client, group, want):
    found = await client.group_offsets(group)
    wrong = {place: (found.get(place), offset) for place, offset in want.items() if found.get(place) != offset}
    more = set(found) - set(want)
    return f"(got, want) {wrong}, and not wanted {more}" if wrong or more else None


