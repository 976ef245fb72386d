import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { noteBytesMax, noteSignaturesMax } from '../../src/ledger/limits.ts';
import { SignerKey, signatureTypes, VerifierKey } from '../../src/ledger/tlog/key.ts';
import type { SignatureType } from '../../src/ledger/tlog/key.ts';
import { parseNote, parseSignatureLines, renderNote, renderSignatureLine } from '../../src/ledger/tlog/note.ts';
import { cosignText, signText, verifySignatures } from '../../src/ledger/tlog/signature.ts';
import { arche, enoch, peter, peterText, poem, sofa, specNote } from '../support/note-vectors.ts';
import { refusedWith } from '../support/refused.ts';

const { ed25519, cosignature } = signatureTypes;
const logKey = (vkey: string): VerifierKey => VerifierKey.parse(vkey, ed25519);
const open = (note: string, ...keys: VerifierKey[]): string[] =>
  verifySignatures(parseNote(Buffer.from(note)), keys).map(({ key }) => key.name);

describe('a vkey', () => {
  const published: [string, SignatureType][] = [
    [specNote.vkey, ed25519],
    [peter.vkey, ed25519],
    [enoch.vkey, ed25519],
    [arche.logVkey, ed25519],
    ...arche.witnessVkeys.map((vkey): [string, SignatureType] => [vkey, cosignature]),
  ];
  for (const [vkey, type] of published) {
    it(`is read and written: ${vkey.split('+', 1)[0]!}`, () => {
      assert.equal(VerifierKey.parse(vkey, type).render(), vkey);
    });
  }

  it('is refused in every part and with every character changed', () => {
    const parts = Array.from({ length: peter.vkey.length }, (_, begin) =>
      Array.from({ length: peter.vkey.length - begin }, (_, length) => peter.vkey.slice(begin, begin + length + 1)),
    ).flat();
    const changed = Array.from(peter.vkey, (character, at) => {
      const next = String.fromCharCode(character.charCodeAt(0) + 1);
      return peter.vkey.slice(0, at) + next + peter.vkey.slice(at + 1);
    });
    for (const vkey of [...parts.filter((part) => part !== peter.vkey), ...changed]) {
      assert.throws(() => logKey(vkey), refusedWith('InvalidArgument'), vkey);
    }
  });

  it('is refused for another type, length, ID or spelling, with the reason', () => {
    for (const [vkey, why] of [
      ['PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==', 'not base64'],
      ['PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'signature type 101'],
      ['PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'hex digits'],
      ['PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX', 'key ID of another'],
      ['Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'key ID of another'],
      [arche.witnessVkeys[0]!, 'signature type 4, not 1'],
      [`${'x'.repeat(1_000)}+c74f20a3+AR`, 'at most 1000 characters'],
      ['', 'hex digits'],
    ] as const) {
      assert.throws(() => logKey(vkey), refusedWith('InvalidArgument', why));
    }
  });
});

describe('an skey', () => {
  it('gives the vkey and the signature that its authors published', () => {
    const key = SignerKey.parse(peter.skey);
    assert.equal(key.verifierKey.render(), peter.vkey);
    assert.equal(key.render(), peter.skey);
    assert.equal(renderSignatureLine(signText(peterText, key)), peter.signature);
  });

  it('is refused in every part, and the message repeats nothing of it', () => {
    for (let length = 0; length < peter.skey.length; length++) {
      for (const skey of [peter.skey.slice(0, length), peter.skey.slice(peter.skey.length - length)]) {
        assert.throws(
          () => SignerKey.parse(skey),
          (thrown) => {
            assert.doesNotMatch((thrown as Error).message, /AYEKFAL/);
            return refusedWith('InvalidArgument')(thrown);
          },
        );
      }
    }
  });

  it('that is made anew differs each time, comes back from its text, and signs what its vkey verifies', () => {
    const [key, other] = [
      SignerKey.generate('prod/pve1/ovs-port-agent'),
      SignerKey.generate('prod/pve1/ovs-port-agent'),
    ];
    assert.notEqual(key.render(), other.render());
    const again = SignerKey.parse(key.render());
    const note = renderNote({ text: 'text\n', signatures: [signText('text\n', again)] });
    assert.deepEqual(open(note, logKey(key.verifierKey.render())), ['prod/pve1/ovs-port-agent']);
    assert.deepEqual(open(note, other.verifierKey), []);
  });

  it('shows nothing of its secret when it is printed or serialised', () => {
    const key = SignerKey.parse(peter.skey);
    const secret = /AYEKFAL|810a1402/i;
    for (const shown of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)]) {
      assert.doesNotMatch(shown, secret);
    }
  });

  it('has a name that a note can carry', () => {
    for (const name of ['', 'a b', 'a+b', 'a\u00a0b', 'a\u3000b', 'a\nb', 'a\u0000b', 'a\u0085b']) {
      assert.throws(() => SignerKey.generate(name), refusedWith('InvalidArgument', 'key name'));
    }
  });
});

describe('a signed note', () => {
  it('is read and written byte for byte: the published ones', () => {
    for (const note of [specNote.note, poem, sofa, arche.note, `${peterText}\n${peter.signature}${enoch.signature}`]) {
      assert.equal(renderNote(parseNote(Buffer.from(note))), note);
    }
    assert.equal(parseNote(Buffer.from(poem)).text.split('\n').length, 5);
  });

  it('is verified by the keys that signed it; signatures of others are passed over', () => {
    const both = `${peterText}\n${peter.signature}${enoch.signature}`;
    assert.deepEqual(open(specNote.note, logKey(specNote.vkey)), ['example.com/foo']);
    assert.deepEqual(open(both, logKey(peter.vkey)), ['PeterNeumann']);
    assert.deepEqual(open(both, logKey(enoch.vkey), logKey(peter.vkey)), ['PeterNeumann', 'EnochRoot']);
    assert.deepEqual(open(both, logKey(specNote.vkey)), []);
    assert.deepEqual(open(both), []);
  });

  it('with a bad signature of a known key is refused, however many others are good', () => {
    const at = peter.signature.length - 20;
    const bad = `${peter.signature.slice(0, at)}${peter.signature[at] === 'A' ? 'B' : 'A'}${peter.signature.slice(at + 1)}`;
    const note = `${peterText}\n${enoch.signature}${bad}`;
    assert.throws(
      () => open(note, logKey(enoch.vkey), logKey(peter.vkey)),
      refusedWith('InvalidArgument', 'PeterNeumann'),
    );
    assert.deepEqual(open(note, logKey(enoch.vkey)), ['EnochRoot']);
    assert.throws(() => open(`other text\n\n${peter.signature}`, logKey(peter.vkey)), refusedWith('InvalidArgument'));
  });

  it('under the same name or the same ID, but not both, is of an unknown key', () => {
    const renamed = peter.signature.replace('PeterNeumann', 'CarmenSandiego');
    const otherId = peter.signature.replace('x08g', 'xxxx');
    assert.deepEqual(open(`${peterText}\n${renamed}${otherId}`, logKey(peter.vkey)), []);
  });

  for (const [what, note, why] of [
    ['no signature', peterText, 'no empty line'],
    ['an empty line at its end', `${peterText}\n`, 'no signatures'],
    ['no newline at its end', `${peterText}\n${peter.signature.slice(0, -1)}`, 'end with a newline'],
    ['a control character', `\u0001${peterText}\n${peter.signature}`, 'control character'],
    ['a carriage return', `${peterText}\r\n\n${peter.signature}`, 'control character'],
    ['a name with a space', `${peterText}\n— Bad Name x08go/ZJkuBS\n`, '"— <name> <base64>"'],
    ['a name with a plus', `${peterText}\n— Bad+Name x08go/ZJkuBS\n`, 'key name'],
    ['a line behind its signatures', `${peterText}\n${peter.signature}Unexpected line.\n`, '"— <name> <base64>"'],
    ['a dash instead of the em dash', `${peterText}\n-${peter.signature.slice(1)}`, '"— <name> <base64>"'],
    ['a signature of four bytes', `${peterText}\n— name AAAAAA==\n`, 'too short'],
    ['base64 without its padding', `${peterText}\n— name AAAAAAA\n`, 'not base64'],
    ['base64 with unused bits', `${peterText}\n— name AAAAAAB=\n`, 'not base64'],
    ['base64url', `${peterText}\n— name AAAA-_AA\n`, 'not base64'],
    ['no text', peter.signature, 'no empty line'],
    ['nothing', '', 'no empty line'],
    ['101 signatures', `${peterText}\n${peter.signature.repeat(noteSignaturesMax + 1)}`, 'more than 100 signatures'],
    ['a million signatures', `${peterText}\n${'— n AAAAAAA=\n'.repeat(1_000_000)}`, `at most ${noteBytesMax}`],
    ['as many as fit', `t\n\n${'— n AAAAAAA=\n'.repeat(60_000)}`, 'more than 100 signatures'],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseNote(Buffer.from(note)), refusedWith('InvalidArgument', why));
    });
  }

  it('is refused when it is not UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from([0xff]), Buffer.from(`${peterText}\n${peter.signature}`)]);
    assert.throws(() => parseNote(bytes), refusedWith('InvalidArgument', 'not UTF-8'));
  });

  it('may have 100 signatures', () => {
    const note = parseNote(Buffer.from(`${peterText}\n${peter.signature.repeat(noteSignaturesMax)}`));
    assert.equal(verifySignatures(note, [logKey(peter.vkey)]).length, noteSignaturesMax);
  });

  it('comes back from its text, whatever the text and the signatures', () => {
    const name = fc
      .string({ minLength: 1, unit: 'grapheme' })
      .filter((text) => !/[\p{White_Space}\p{Cc}+]/u.test(text));
    const signatures = fc.array(
      fc.record(
        {
          name,
          keyId: fc.stringMatching(/^[0-9a-f]{8}$/),
          signature: fc.uint8Array({ minLength: 1, maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
        },
        { noNullPrototype: true },
      ),
      { minLength: 1, maxLength: 5 },
    );
    const text = fc.string({ unit: 'grapheme' }).map((line) => `${line.replaceAll(/\p{Cc}/gu, '\n')}\n`);
    fc.assert(
      fc.property(text, signatures, (text, signatures) => {
        assert.deepEqual(parseNote(Buffer.from(renderNote({ text, signatures }))), { text, signatures });
      }),
    );
  });

  it('is refused or means the same, with any byte changed', () => {
    const note = Buffer.from(`${peterText}\n${peter.signature}`);
    for (let at = 0; at < note.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(note);
        flipped[at]! ^= 1 << bit;
        let signers: string[] = [];
        try {
          signers = verifySignatures(parseNote(flipped), [logKey(peter.vkey)]).map(({ key }) => key.name);
        } catch (thrown) {
          refusedWith('InvalidArgument')(thrown);
        }
        assert.deepEqual(signers, [], `byte ${at} bit ${bit}`);
      }
    }
  });
});

describe('a cosignature', () => {
  it('of public witnesses is verified, with its time', () => {
    const keys = arche.witnessVkeys.map((vkey) => VerifierKey.parse(vkey, cosignature));
    const verified = verifySignatures(parseNote(Buffer.from(arche.note)), [logKey(arche.logVkey), ...keys]);
    assert.deepEqual(
      verified.map(({ timestampS }) => timestampS),
      [null, ...keys.map(() => arche.timestampS)],
    );
    assert.deepEqual(new Set(verified.map(({ key }) => key.render())), new Set([arche.logVkey, ...arche.witnessVkeys]));
  });

  it('does not verify over another size', () => {
    const keys = arche.witnessVkeys.map((vkey) => VerifierKey.parse(vkey, cosignature));
    const other = parseNote(Buffer.from(arche.note.replace('1432088532', '1432088533')));
    for (const key of keys)
      assert.throws(() => verifySignatures(other, [key]), refusedWith('InvalidArgument', key.name));
  });

  it('is over header, time and checkpoint, and is no signature of the log', () => {
    const key = SignerKey.generate('witness');
    const text = 'log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
    const made = cosignText(text, key, 1_679_315_147);
    assert.equal(made.signature.length, 72);
    assert.equal(made.signature.readBigUInt64BE(), 1_679_315_147n);
    assert.ok(key.verifierKey.verify(`cosignature/v1\ntime 1679315147\n${text}`, made.signature.subarray(8)));
    assert.notEqual(key.cosignerKey.keyId, key.verifierKey.keyId);
    const note = { text, signatures: [made] };
    assert.deepEqual(verifySignatures(note, [key.verifierKey]), []);
    assert.deepEqual(verifySignatures(note, [key.cosignerKey]), [{ key: key.cosignerKey, timestampS: 1_679_315_147 }]);
  });

  it('fails with another time, too few bytes or a time beyond all numbers', () => {
    const key = SignerKey.generate('witness');
    const made = cosignText('text\n', key, 5);
    const changed = (change: (bytes: Buffer) => Buffer) => () =>
      verifySignatures({ text: 'text\n', signatures: [{ ...made, signature: change(Buffer.from(made.signature)) }] }, [
        key.cosignerKey,
      ]);
    assert.doesNotThrow(changed((bytes) => bytes));
    for (const change of [
      (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 6]), bytes.subarray(8)]),
      (bytes: Buffer) => Buffer.concat([Buffer.alloc(8, 0xff), bytes.subarray(8)]),
      (bytes: Buffer) => bytes.subarray(0, -1),
      (bytes: Buffer) => bytes.subarray(0, 8),
      (bytes: Buffer) => bytes.subarray(0, 1),
      (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]),
    ]) {
      assert.throws(changed(change), refusedWith('InvalidArgument', 'not valid'));
    }
  });

  it('cannot be had from the log that shares its key', () => {
    const key = SignerKey.generate('node');
    assert.throws(() => signText('cosignature/v1\ntime 1\nlog\n1\nroot\n', key), refusedWith('InvalidArgument'));
  });

  it('is answered as lines and nothing else', () => {
    assert.equal(parseSignatureLines(peter.signature + enoch.signature).length, 2);
    for (const text of ['', '\n', peter.signature.slice(0, -1), `\n${peter.signature}`, `text\n\n${peter.signature}`]) {
      assert.throws(() => parseSignatureLines(text), refusedWith('InvalidArgument'));
    }
  });
});
