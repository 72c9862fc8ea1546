package backup

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
)

// A backup travels as the parts of a multipart/mixed body: their sizes need not be known before.
// The header of a part has the name of its file. A part without a name has the error that ended
// the backup.
const nameHeader = "File"

// Wire is a [Sink] that sends the files over a connection.
type Wire struct{ parts *multipart.Writer }

// NewWire returns a sink that writes to w.
func NewWire(w io.Writer) *Wire { return &Wire{multipart.NewWriter(w)} }

// ContentType is that of the body.
func (w *Wire) ContentType() string {
	return mime.FormatMediaType("multipart/mixed", map[string]string{"boundary": w.parts.Boundary()})
}

// Create implements [Sink].
func (w *Wire) Create(name string) (io.WriteCloser, error) {
	part, err := w.parts.CreatePart(textproto.MIMEHeader{nameHeader: {name}})
	return unclosed{part}, err
}

// Close ends the body, with the error that ended the backup unless that is nil.
func (w *Wire) Close(failed error) error {
	if failed != nil {
		part, err := w.parts.CreatePart(textproto.MIMEHeader{})
		if err == nil {
			_, err = io.WriteString(part, failed.Error())
		}
		if err != nil {
			return err
		}
	}
	return w.parts.Close()
}

// unclosed is a part, which the next one ends.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// errShort means that the sender ended in the middle.
var errShort = errors.New("the connection ended before the backup was complete: nothing of it can be used")

// ReadWire calls file with each file of a body that a [Wire] wrote, and returns once the
// checksums have come: the last file.
func ReadWire(contentType string, body io.Reader, file func(name string, r io.Reader) error) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/mixed" || params["boundary"] == "" {
		return fmt.Errorf("the answer is no backup: is it of a bridge of this version?")
	}
	parts := multipart.NewReader(body, params["boundary"])
	for range maxFiles {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errShort
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errShort, err)
		}
		name := part.Header.Get(nameHeader)
		if name == "" {
			text, err := io.ReadAll(io.LimitReader(part, 4<<10))
			return errors.Join(fmt.Errorf("the bridge ended it: %s", text), err)
		}
		if !fileName.MatchString(name) {
			return fmt.Errorf("the backup has a file %.80q, which no backup has", name)
		}
		if err := file(name, part); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if name == sumsName {
			return nil
		}
	}
	return fmt.Errorf("the backup has more than %d files, which no backup has", maxFiles)
}
