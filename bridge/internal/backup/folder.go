package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
)

// Folder is a folder that takes a backup, a [Sink]. Every file is on the disk before the
// checksums, which make it a backup.
type Folder struct {
	dir   string
	made  []string // files and folders, in the order of their making
	files []File
	bytes int64
	done  bool
}

// NewFolder makes the folder, which may exist if it is empty.
func NewFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the backup: %w", err)
		}
		f.made = append(f.made, dir)
	case err != nil:
		return nil, fmt.Errorf("the folder of the backup: %w", err)
	case len(entries) > 0:
		return nil, fmt.Errorf("%s holds %s already: name a folder that is empty or does not exist, nothing is overwritten", dir, entries[0].Name())
	}
	return f, nil
}

// Create implements [Sink].
func (f *Folder) Create(name string) (io.WriteCloser, error) {
	if !fileName.MatchString(name) {
		return nil, fmt.Errorf("%.80q is no file of a backup", name)
	}
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	at := f.dir
	for _, part := range strings.Split(name, "/")[:strings.Count(name, "/")] {
		if at = filepath.Join(at, part); datafolder.Exists(at) {
			continue
		}
		if err := os.Mkdir(at, 0o700); err != nil {
			return nil, err
		}
		f.made = append(f.made, at)
	}
	if name == sumsName {
		if err := datafolder.SyncFileSystem(f.dir); err != nil {
			return nil, err
		}
		f.done = true
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f.made = append(f.made, path)
	return &folderFile{summed: summed{to: file, hash: sha256.New()}, file: file, name: name, of: f}, nil
}

type folderFile struct {
	summed

	file *os.File
	name string
	of   *Folder
}

func (f *folderFile) Write(p []byte) (int, error) {
	n, err := f.summed.Write(p)
	f.of.bytes += int64(n)
	return n, err
}

func (f *folderFile) Close() error {
	f.of.files = append(f.of.files, File{Name: f.name, Bytes: f.n, SHA: hex.EncodeToString(f.hash.Sum(nil))})
	return errors.Join(f.file.Sync(), f.file.Close())
}

// Take writes a file that was sent. The checksums must be those of the files before.
func (f *Folder) Take(name string, r io.Reader) error {
	if name == sumsName {
		text, err := io.ReadAll(io.LimitReader(r, maxText))
		if err != nil {
			return err
		}
		if err := matches(text, f.files); err != nil {
			return err
		}
		r = bytes.NewReader(text)
	}
	out, err := f.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

// Bytes is how much was written.
func (f *Folder) Bytes() int64 { return f.bytes }

// Drop removes what was written, unless the backup is complete.
func (f *Folder) Drop() error {
	if f.done {
		return nil
	}
	var errs []error
	for _, path := range slices.Backward(f.made) {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// matches compares the file of the checksums with files.
func matches(text []byte, files []File) error {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(files) {
		return fmt.Errorf("%s names %d files, and there are %d", sumsName, len(lines), len(files))
	}
	for _, f := range files {
		if !slices.Contains(lines, f.SHA+"  "+f.Name) {
			return fmt.Errorf("%s is not what was saved: its checksum is another one than that of %s", f.Name, sumsName)
		}
	}
	return nil
}

// Backup is one in a folder, every file of which was checked.
type Backup struct {
	Manifest

	dir string
}

// unusable begins every error of a folder that is no backup.
func unusable(dir, format string, args ...any) error {
	return fmt.Errorf("%s cannot be restored: "+format+"; nothing was changed", append([]any{dir}, args...)...)
}

// Open reads the manifest of a backup and checks that every file is there, is whole, and is what
// was saved, and that there is no other one.
func Open(ctx context.Context, dir string) (*Backup, error) {
	b := &Backup{dir: dir}
	sums, err := b.text(sumsName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unusable(dir, "it has no %s, so it is no backup, or one that was cut off", sumsName)
	}
	if err != nil {
		return nil, unusable(dir, "%w", err)
	}
	text, err := b.text(manifestName)
	if err != nil {
		return nil, unusable(dir, "%w", err)
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &format); err == nil && format.Format > Format {
		return nil, unusable(dir, "it has format %d, this program knows up to %d: use the newer Hookspan that made it", format.Format, Format)
	}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return nil, unusable(dir, "%s: %w", manifestName, err)
	}
	files, err := b.sum(ctx)
	if err != nil {
		return nil, unusable(dir, "%w", err)
	}
	if err := matches(sums, files); err != nil {
		return nil, unusable(dir, "%w", err)
	}
	if b.Format < 1 || b.Events() == 0 && !slices.ContainsFunc(files, func(f File) bool { return strings.HasPrefix(f.Name, streamsPrefix) }) {
		return nil, unusable(dir, "%s names no stream", manifestName)
	}
	b.Files = files
	return b, nil
}

// sum reads every file of the folder.
func (b *Backup) sum(ctx context.Context) (files []File, err error) {
	err = filepath.WalkDir(b.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		relative, err := filepath.Rel(b.dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		switch {
		case name == sumsName:
			return nil
		case !fileName.MatchString(name) || !entry.Type().IsRegular():
			return fmt.Errorf("it has %s, which is not of the backup: take it out", relative)
		case len(files) == maxFiles:
			return fmt.Errorf("it has more than %d files", maxFiles)
		}
		in, err := b.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		sum := &summed{to: io.Discard, hash: sha256.New()}
		if _, err := io.Copy(sum, bound{ctx, in}); err != nil {
			return err
		}
		files = append(files, File{Name: name, Bytes: sum.n, SHA: hex.EncodeToString(sum.hash.Sum(nil))})
		return nil
	})
	return files, err
}

// bound reads until a context ends.
type bound struct {
	ctx context.Context //nolint:containedctx // of the one who reads
	r   io.Reader
}

func (b bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

// Open opens a file of the backup.
func (b *Backup) Open(name string) (io.ReadCloser, error) {
	if !fileName.MatchString(name) {
		return nil, fmt.Errorf("%.80q is no file of a backup", name)
	}
	return os.Open(filepath.Join(b.dir, filepath.FromSlash(name)))
}

// text reads a small file.
func (b *Backup) text(name string) ([]byte, error) {
	in, err := b.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s has more than %d bytes", name, maxText)
	}
	return text, err
}

// FolderFile returns a small file of the data folder, nil when the backup has none of that name.
func (b *Backup) FolderFile(name string) ([]byte, error) {
	text, err := b.text(folderPrefix + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// FolderFiles are the names of the small files of the data folder.
func (b *Backup) FolderFiles() (names []string) {
	for _, f := range b.Files {
		if name, is := strings.CutPrefix(f.Name, folderPrefix); is {
			names = append(names, name)
		}
	}
	return names
}

// EachRecord calls next with the decoder of the journal's records as long as there is one.
func (b *Backup) EachRecord(next func(*json.Decoder) error) error {
	for _, name := range []string{journalBeforeName, journalAfterName} {
		in, err := b.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for dec := json.NewDecoder(in); err == nil && dec.More(); {
			err = next(dec)
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
