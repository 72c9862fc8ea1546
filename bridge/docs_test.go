package bridge_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

const root = ".."

var (
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	testNamed = regexp.MustCompile("`((?:Test|Fuzz)\\w*)`")
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	linked    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// A promise whose test was renamed or removed has no test.
func TestDocsNameTestsThatExist(t *testing.T) {
	exists := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, found := range testFunc.FindAllStringSubmatch(read(t, path), -1) {
			exists[found[1]] = true
		}
		return nil
	}))
	for _, page := range []string{"guarantees.md", "security.md"} {
		named := testNamed.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", page)), -1)
		require.NotEmpty(t, named)
		for _, found := range named {
			require.True(t, exists[found[1]], "docs/%s names %s, and no package has a test of that name", page, found[1])
		}
	}
}

// An alarm that no document names leaves its reader alone.
func TestDocsNameEveryAlarm(t *testing.T) {
	text := read(t, filepath.Join(root, "docs", "operations.md")) + read(t, filepath.Join(root, "docs", "guarantees.md")) + read(t, filepath.Join(root, "docs", "configuration.md"))
	for _, kind := range bridge.AlarmKinds {
		require.Contains(t, text, "`"+kind+"`", "say in docs/operations.md what to do at this alarm")
	}
}

func TestDocsLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		documents, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, document := range documents {
			text := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(read(t, document), ""), "")
			for _, found := range linked.FindAllStringSubmatch(text, -1) {
				path, anchor, _ := strings.Cut(found[1], "#")
				if strings.Contains(path, ":") {
					continue // another site
				}
				links++
				target := document
				if path != "" {
					target = filepath.Join(filepath.Dir(document), filepath.FromSlash(path))
				}
				_, err := os.Stat(target)
				require.NoError(t, err, "%s links to %s", document, found[1])
				require.True(t, anchor == "" || slices.Contains(anchors(t, target), anchor), "%s links to %s: there is no such heading", document, found[1])
			}
		}
	}
	require.NotZero(t, links)
}

// anchors returns the anchors that GitHub gives to the headings of a document.
func anchors(t *testing.T, document string) (out []string) {
	t.Helper()
	for _, found := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, document), ""), -1) {
		name := noAnchor.ReplaceAllString(strings.ToLower(found[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
