import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forCounts, forEvent, read } from '../lib/notification.js'

const message = {
  event_id: '$1', room_id: '!r:example.org', room_name: 'Ops', type: 'm.room.message', sender: '@alice:example.org',
  sender_display_name: 'Alice', content: { msgtype: 'm.text', body: 'hello' }, unread: 2, session_id: 's',
}
const without = (...members) => Object.fromEntries(Object.entries(message).filter(([name]) => !members.includes(name)))

const shapes = [
  ['a message', message, 'Alice in Ops', 'hello'],
  ['a room without a name', without('room_name'), 'Alice', 'hello'],
  ['a room with only an alias', { ...without('room_name'), room_alias: '#ops:example.org' }, 'Alice in #ops:example.org', 'hello'],
  ['a direct chat, whose name is the sender’s', { ...message, room_name: 'Alice' }, 'Alice', 'hello'],
  ['a sender without a name', without('sender_display_name'), '@alice:example.org in Ops', 'hello'],
  ['an encrypted event', { ...message, type: 'm.room.encrypted', content: { algorithm: 'm.megolm.v1.aes-sha2' } }, 'Alice in Ops', 'Encrypted message'],
  ['an encrypted event without content', { ...without('content'), type: 'm.room.encrypted' }, 'Alice in Ops', 'Encrypted message'],
  ['an invite', { ...message, type: 'm.room.member', membership: 'invite', content: { membership: 'invite' } }, 'Alice in Ops', 'Invites you to Ops'],
  ['a call', { ...message, type: 'm.call.invite', content: {} }, 'Alice in Ops', 'Is calling'],
  ['a call of MatrixRTC', { ...message, type: 'm.rtc.notification', content: { notification_type: 'ring' } }, 'Alice in Ops', 'Is calling'],
  ['an image', { ...message, content: { msgtype: 'm.image', body: 'cat.png' } }, 'Alice in Ops', 'Image: cat.png'],
  ['a sticker', { ...message, type: 'm.sticker', content: { body: 'cat' } }, 'Alice in Ops', 'Sticker: cat'],
  ['content event_id_only', { event_id: '$1', room_id: '!r:example.org', unread: 2, session_id: 's' }, 'New message', 'Open your client to read it'],
  ['a message that was too large', without('content'), 'Alice in Ops', 'New message'],
  ['an unknown type', { ...message, type: 'org.example.poll', content: {} }, 'Alice in Ops', 'Open your client to read it'],
]
for (const [name, push, title, body] of shapes) {
  test(`V10 ${name} is shown with what the gateway sends of it`, () => {
    const shown = forEvent(push)
    assert.equal(shown.title, title)
    assert.equal(shown.options.body, body)
    assert.deepEqual(shown.options.data, { roomID: '!r:example.org', eventID: '$1' })
  })
}

test('V10 a later event of a room replaces the earlier one, and rings', () => {
  const [first, second] = [forEvent(message).options, forEvent({ ...message, event_id: '$2' }).options]
  assert.equal(first.tag, second.tag)
  assert.notEqual(first.tag, forEvent({ ...message, room_id: '!other:example.org' }).options.tag)
  assert.equal(second.renotify, true)
  assert.notEqual(forEvent(without('room_id')).options.tag, forEvent({ ...without('room_id'), event_id: '$2' }).options.tag)
})

test('V10 a badge update is shown without a sound, and only once', () => {
  for (const [push, title] of [[{ unread: 3 }, 'Unread messages: 3'], [{ unread: 0 }, 'No unread messages'], [{}, 'Nothing new'], [{ unread: -1 }, 'Nothing new']]) {
    const { title: shown, options } = forCounts(push)
    assert.equal(shown, title)
    assert.equal(options.silent, true)
    assert.equal(options.renotify, undefined)
    assert.equal(options.tag, forCounts({}).options.tag)
  }
  assert.equal(forCounts({ unread: 1, missed_calls: 2 }).options.body, 'Missed calls: 2')
})

test('V10 whatever a push contains, it can be shown', () => {
  for (const text of [undefined, '', 'x', 'null', '[]', '"a"', '{"event_id":1}']) assert.equal(typeof read(text), 'object')
  for (const value of [null, 1, true, [], {}, { body: 1 }, 'x'.repeat(5000)]) {
    for (const member of Object.keys(message)) {
      const { title, options } = forEvent({ ...message, [member]: value })
      assert.ok(title.length > 0 && title.length < 200, member)
      assert.ok(options.body.length > 0 && options.body.length < 500, member)
      assert.equal(typeof options.tag, 'string')
    }
  }
})

test('V10 a name can’t reverse the text that follows it, and control characters are not shown', () => {
  const { title, options } = forEvent({ ...message, sender_display_name: 'A\u202el\u0000ice\n', content: { msgtype: 'm.text', body: 'a\u2066b\u0007\nc' } })
  assert.equal(title, 'Al ice in Ops')
  assert.equal(options.body, 'ab \nc')
})

test('V10 a text is never cut within a character', () => {
  const { options } = forEvent({ ...message, content: { msgtype: 'm.text', body: '😀'.repeat(1000) } })
  assert.doesNotMatch(options.body, /\p{Surrogate}/u)
  assert.ok(options.body.endsWith('😀…'))
})
