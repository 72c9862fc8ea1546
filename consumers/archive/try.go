package archive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// tryFolder has the files of [Try], beside the folders of sources, none of which has this name.
const tryFolder = ".doctor"

// Try writes a small file where cfg says, and removes it. It makes a missing folder, as [New] does.
func Try(ctx context.Context, cfg Config) error {
	files, err := openStore(cfg.withDefaults()) //nolint:contextcheck // it only reads files
	if err != nil {
		return fmt.Errorf("archive: location: %w", err)
	}
	return errors.Join(tryStore(ctx, files), files.close())
}

func tryStore(ctx context.Context, files store) error {
	key := tryFolder + "/" + rand.Text()
	if err := files.put(ctx, file{key: key, contentType: "text/plain"}, false, []byte("hookspan doctor\n")); err != nil {
		return err
	}
	_, err := files.remove(ctx, key)
	return errors.Join(err, files.removeFolder(tryFolder))
}
