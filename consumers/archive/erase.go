package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Prediction names what [Erase] removes.
type Prediction struct{ Source, ID string }

// errElsewhere: an archive in a folder is where its process is.
var errElsewhere = errors.New("the folder is not on this machine: erase at the bridge that runs this archive")

// Erase removes everything that an archive has of the predictions: outputs, events and
// manifests. With dryRun it only counts the files. Of the configuration it uses Location,
// AllowPrivate and Name. An attempt that is under way may store something afterwards; to call
// Erase again is safe. A bucket that keeps versions keeps those.
func Erase(ctx context.Context, c Config, predictions []Prediction, dryRun bool) (files int, err error) {
	if dir := c.Location.Dir; dir != "" {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("%s: %w", dir, errElsewhere)
		}
	}
	s, err := openStore(c.withDefaults()) //nolint:contextcheck // it only reads files
	if err != nil {
		return 0, fmt.Errorf("opening the archive: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	bySource := map[string][]string{}
	for _, p := range predictions {
		bySource[p.Source] = append(bySource[p.Source], token(p.ID))
	}
	for source, tokens := range bySource {
		err := eachDay(ctx, s, token(source), 3, func(day string) error {
			for _, t := range tokens {
				n, err := eraseFolders(ctx, s, day, t, dryRun)
				if files += n; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return files, fmt.Errorf("erasing in the archive: %w", err)
		}
	}
	return files, nil
}

// eachDay calls visit with each folder of a day: when a prediction ended is not known any more.
func eachDay(ctx context.Context, s store, folder string, depth int, visit func(day string) error) error {
	if depth == 0 {
		return visit(folder)
	}
	inside, err := s.folders(ctx, folder, "")
	if err != nil {
		return err
	}
	for _, name := range inside {
		if err := eachDay(ctx, s, folder+"/"+name, depth-1, visit); err != nil {
			return err
		}
	}
	return nil
}

// eraseFolders removes the folders of one prediction: its own, and those of further events,
// whose names go on with a dot.
func eraseFolders(ctx context.Context, s store, day, prediction string, dryRun bool) (files int, err error) {
	found, err := s.folders(ctx, day, prediction)
	if err != nil {
		return 0, err
	}
	for _, name := range found {
		if name != prediction && !strings.HasPrefix(name, prediction+".") {
			continue
		}
		folder := day + "/" + name
		names, err := s.names(ctx, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return files, err
		}
		for _, file := range names {
			if !dryRun {
				if _, err := s.remove(ctx, folder+"/"+file); err != nil {
					return files, err
				}
			}
			files++
		}
		if !dryRun {
			err = s.removeFolder(folder)
		} else if len(names) == 0 {
			files++ // its name tells of the prediction, too
		}
		if err != nil {
			return files, err
		}
	}
	return files, nil
}
