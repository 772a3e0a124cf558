/* SPDX-License-Identifier: ISC */
#include "mua-send/mime_types.h"

static const struct {
	const char *extension, *type;
} known[] = {
	{ "txt", "text/plain" },
	{ "log", "text/plain" },
	{ "diff", "text/x-diff" },
	{ "patch", "text/x-diff" },
	{ "md", "text/markdown" },
	{ "csv", "text/csv" },
	{ "html", "text/html" },
	{ "htm", "text/html" },
	{ "css", "text/css" },
	{ "ics", "text/calendar" },
	{ "vcf", "text/vcard" },
	{ "xml", "application/xml" },
	{ "json", "application/json" },
	{ "pdf", "application/pdf" },
	{ "zip", "application/zip" },
	{ "gz", "application/gzip" },
	{ "tgz", "application/gzip" },
	{ "bz2", "application/x-bzip2" },
	{ "xz", "application/x-xz" },
	{ "tar", "application/x-tar" },
	{ "png", "image/png" },
	{ "jpg", "image/jpeg" },
	{ "jpeg", "image/jpeg" },
	{ "gif", "image/gif" },
	{ "webp", "image/webp" },
	{ "svg", "image/svg+xml" },
	{ "mp3", "audio/mpeg" },
	{ "ogg", "audio/ogg" },
	{ "mp4", "video/mp4" },
	{ "eml", "message/rfc822" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
};

/* The type of the line that lists the extension; empty when none does. */
static struct span in_table(struct span table, struct span extension)
{
	while (table.n) {
		struct span line = span_cut(&table, '\n'), type, word;
		if (span_starts(line, "#"))
			continue;
		type = span_word(&line);
		while ((word = span_word(&line)).n)
			if (span_ieq(span_trim(word), extension) && span_chr(type, '/') > 0)
				return type;
	}
	return SPAN("");
}

const char *mime_type_of(struct arena *a, struct span table, const char *file_name)
{
	struct span name = span_str(file_name);
	ptrdiff_t dot = span_rchr(name, '.');
	struct span extension = dot < 0 ? SPAN("") : span_from(name, (size_t)dot + 1);
	struct span type = extension.n ? in_table(table, extension) : SPAN("");
	if (type.n)
		return arena_str(a, type);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (span_ieqs(extension, known[i].extension))
			return known[i].type;
	return "application/octet-stream";
}
