package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	diskScheme = "file://"
	s3Scheme   = "s3://"
)

// Location is where an archive keeps its files: the folder Dir, or an object store.
type Location struct {
	// Dir is an absolute path; empty for an object store.
	Dir string
	// Bucket is the bucket of the object store, and Prefix the beginning of every key in it.
	Bucket, Prefix string
	// Region is the region of the bucket; empty takes that of the environment.
	Region string
	// Endpoint is the address of a store other than Amazon's. Empty takes that of the
	// environment.
	Endpoint string
	// PathStyle selects addresses <endpoint>/<bucket> instead of <bucket>.<endpoint>.
	PathStyle bool
}

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$`)
	keyPrefix  = regexp.MustCompile(`^[A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
)

// Check returns an error when an archive could not be opened there. It creates nothing and calls
// no store. An endpoint with http, which the environment may name, needs allowHTTP.
func (l Location) Check(ctx context.Context, allowHTTP bool) error {
	if l.Dir == "" {
		_, err := openObjects(ctx, Config{Location: l, AllowPrivate: allowHTTP}.withDefaults())
		return err
	}
	above := existing(l.Dir)
	if info, err := os.Stat(above); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a folder: use another one", above)
	}
	if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("this user may not write into %s: %w: use another folder", above, err)
	}
	return nil
}

var errNoLocation = fmt.Errorf("use %s/var/lib/hookspan/archive, or %sbucket/prefix?region=eu-central-1", diskScheme, s3Scheme)

// ParseLocation parses file:// with an absolute path, or
// s3://bucket/prefix?region=…&endpoint=https://…&path_style=true; prefix and parameters are
// optional. An endpoint with http needs allowHTTP. Credentials are an error. The error repeats
// nothing of text, which may hold them.
func ParseLocation(text string, allowHTTP bool) (Location, error) {
	if dir, ok := strings.CutPrefix(text, diskScheme); ok && filepath.IsAbs(dir) {
		return Location{Dir: filepath.Clean(dir)}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return Location{}, errNoLocation
	}
	if u.User != nil {
		return Location{}, errors.New("credentials do not belong here: they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or whatever else the AWS tools read")
	}
	l := Location{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if !bucketName.MatchString(l.Bucket) || l.Prefix != "" && !keyPrefix.MatchString(l.Prefix) || u.Fragment != "" {
		return Location{}, fmt.Errorf("bucket and prefix are of letters, digits and - . _ =: %w", errNoLocation)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Location{}, errNoLocation
	}
	for name, value := range values {
		if len(value) != 1 || !l.set(name, value[0]) {
			return Location{}, errors.New("parameters are region, endpoint and path_style, which is true or false, each at most once; an endpoint is https:// with a host")
		}
	}
	if err := l.inClear(allowHTTP); err != nil {
		return Location{}, err
	}
	return l, nil
}

func (l *Location) set(name, value string) (ok bool) {
	var err error
	switch name {
	case "region":
		l.Region = value
		return regionName.MatchString(value)
	case "path_style":
		l.PathStyle, err = strconv.ParseBool(value)
		return err == nil
	case "endpoint":
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return false
		}
		l.Endpoint = strings.TrimSuffix(u.String(), "/")
		return true
	}
	return false
}

// String is an address that two archives share only if they share their files.
func (l Location) String() string {
	if l.Dir != "" {
		return diskScheme + l.Dir
	}
	text := s3Scheme + l.Bucket
	if l.Prefix != "" {
		text += "/" + l.Prefix
	}
	if l.Endpoint != "" {
		text += " at " + l.Endpoint
	}
	return text
}
