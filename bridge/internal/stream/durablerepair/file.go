package durablerepair

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// Files of a durable, as nats-server names them.
const (
	durablesFolder = "obs"
	metaFile       = "meta.inf" // the configuration, JSON
	metaSumFile    = "meta.sum" // the checksum of meta.inf
	stateFile      = "o.dat"    // the position, without a checksum
)

// First bytes of a state file, see encodeConsumerState of nats-server.
const stateMagic, stateVersion = 22, 2

// errStateDamaged is wrapped for a state file without a readable position.
var errStateDamaged = errors.New("its state cannot be read")

type durableState struct {
	ackFloor, delivered uint64 // sequences of the stream
}

// beyond reports whether the durable is ahead of the last message of its stream.
func (s durableState) beyond(last uint64) bool { return s.delivered > last || s.ackFloor > last }

// readState reads the state file in a durable's folder. The error wraps fs.ErrNotExist or
// [errStateDamaged], or is that of the disk.
func readState(dir string) (durableState, error) {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return durableState{}, err
	}
	return decodeState(text)
}

// decodeState is stricter than the server. The server reads a file that was cut after the first
// numbers as a durable without unacknowledged events, and never delivers those again.
func decodeState(text []byte) (durableState, error) {
	if len(text) < 2 || text[0] != stateMagic || text[1] != stateVersion {
		return durableState{}, fmt.Errorf("%w: it begins as no state does", errStateDamaged)
	}
	in, bad := text[2:], false
	number := func() uint64 {
		n, size := binary.Uvarint(in)
		if size <= 0 {
			bad, in = true, nil
			return 0
		}
		in = in[size:]
		return n
	}
	number() // the acknowledgement floor in deliveries
	s := durableState{ackFloor: number()}
	number() // deliveries
	s.delivered = number()
	pending := number()
	if pending > 0 {
		number() // a time, with a sign; the length is the same
	}
	for range min(pending, uint64(len(text))) {
		seq := s.ackFloor + number()
		number()
		number()
		bad = bad || seq == 0 || seq > s.delivered
	}
	redelivered := number()
	for range min(redelivered, uint64(len(text))) {
		number()
		number()
	}
	if bad || len(in) > 0 || pending > uint64(len(text)) || redelivered > uint64(len(text)) {
		return durableState{}, fmt.Errorf("%w: it is cut or garbled", errStateDamaged)
	}
	if s.ackFloor > s.delivered {
		return durableState{}, fmt.Errorf("%w: more is acknowledged than was delivered", errStateDamaged)
	}
	return s, nil
}

// encodeState returns the state that the server writes for a new durable which starts at the
// sequence next.
func encodeState(next uint64) []byte {
	out := []byte{stateMagic, stateVersion, 0}
	out = binary.AppendUvarint(out, next-1)
	out = append(out, 0)
	out = binary.AppendUvarint(out, next-1)
	return append(out, 0, 0)
}

// readMeta reads the configuration in a durable's folder. With an error, which says why the
// configuration is unreliable, it still returns what it could read.
func readMeta(dir, stream, durable string) (text []byte, info server.FileConsumerInfo, err error) {
	text, err = os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, info, err
	}
	if info, err = decodeMeta(text); err != nil {
		return nil, info, fmt.Errorf("its configuration is garbled: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, metaSumFile))
	if err != nil {
		return text, info, err
	}
	if want, err := metaSum(text, stream, durable); err != nil || want != string(sum) {
		return text, info, errors.Join(errors.New("its configuration is not that of its checksum"), err)
	}
	return text, info, nil
}

// decodeMeta accepts what the server accepts: a field that the server does not know takes the
// whole stream out of service.
func decodeMeta(text []byte) (info server.FileConsumerInfo, err error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	return info, in.Decode(&info)
}

// metaSum is the checksum that the server writes beside a configuration.
func metaSum(text []byte, stream, durable string) (string, error) {
	key := sha256.Sum256([]byte(stream + "/" + durable))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		return "", err
	}
	_, _ = sum.Write(text) // it never fails
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func writeMeta(dir, stream, durable string, text []byte) error {
	sum, err := metaSum(text, stream, durable)
	if err != nil {
		return err
	}
	return errors.Join(
		datafolder.WriteFile(filepath.Join(dir, metaFile), text, 0o600),
		datafolder.WriteFile(filepath.Join(dir, metaSumFile), []byte(sum), 0o600),
	)
}

// folders returns the names of the folders in dir that the server reads; none if dir is
// missing.
func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' {
			out = append(out, e.Name())
		}
	}
	return out, err
}
