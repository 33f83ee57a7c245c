/* Buttons of mask2seg in Orthanc Explorer (jQuery 1.7, jQuery Mobile 1.1).
 *
 * What comes from elsewhere is shown by .text() alone, and its identifiers enter an address only where they look like
 * identifiers of Orthanc.
 */
(function ($) {
  'use strict';

  var ROOT = '../mask2seg';
  var POLL_MS = 700;
  var PATIENCE = 15; // polls in a row that fail before we give up
  var ID = /^[0-9a-f]{8}(-[0-9a-f]{8}){4}$/;
  var FILE = /^\/series\/[0-9a-f]{8}(-[0-9a-f]{8}){4}\/attachments\/[0-9]+\/data$/;
  var NAMES = {
    SEG: 'the segmentation', SR: 'the structured report', RTSTRUCT: 'the contours (RTSTRUCT)',
    SC: 'the picture as a series', CSV: 'the features (CSV)', JSON: 'the features (JSON)',
    NRRD: 'the segmentation as .seg.nrrd', NIFTI: 'the segmentation as NIfTI', PREVIEW: 'the picture (PNG)'
  };
  var JOB = /^[0-9a-f]{24}$/;
  var ENDED = { done: true, failed: true, quarantined: true };
  var STEPS = {
    match: 'Looking for its images ...',
    read: 'Reading the mask ...',
    convert: 'Converting ...',
    store: 'Storing the segmentation ...'
  };
  var CAPTIONS = { series: 'Convert to DICOM-SEG', study: 'Convert masks to DICOM-SEG' };

  function request(method, path, done, failed) {
    $.ajax({
      type: method,
      url: ROOT + path,
      dataType: 'text',
      cache: method !== 'GET',
      timeout: 40000,
      headers: { Accept: 'application/json' },
      success: function (text) {
        var document = parsed(text);
        if (document) {
          done(document);
        } else {
          failed({ error: 'The answer of mask2seg is not understood.' }, 0);
        }
      },
      error: function (xhr) {
        failed(parsed(xhr.responseText) || { error: trouble(xhr.status) }, xhr.status);
      }
    });
  }

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch (error) {
      return null;
    }
  }

  function trouble(status) {
    if (status === 401 || status === 403) {
      return 'You may not do this here (' + status + ').';
    }
    return status ? 'The mask2seg plugin does not work (' + status + ').' : 'Orthanc does not answer.';
  }

  function words(job) {
    var answer = job.result || job.error || {};
    var detail = answer.detail ? ' ' + answer.detail : '';
    if (job.state === 'running') {
      return STEPS[job.step] || 'Working ...';
    }
    if (job.state === 'waiting') {
      return 'Waiting ...' + detail;
    }
    return { converted: 'Converted', refused: 'Refused', skipped: 'Not converted' }[answer.outcome] || 'Failed';
  }

  /* The button of one page (series or study) with what is said below it. */
  function Panel(level) {
    this.level = level;
    this.visit = 0;
    this.uuid = null;
  }

  Panel.prototype.build = function () {
    var self = this;
    this.box = $('<div>').addClass('mask2seg').attr('id', 'mask2seg-' + this.level);
    this.button = $('<a>')
      .attr({ 'data-role': 'button', 'data-icon': 'forward', 'data-theme': 'b', href: '#' })
      .attr('id', 'mask2seg-' + this.level + '-convert')
      .text(CAPTIONS[this.level])
      .click(function (event) {
        event.preventDefault();
        self.convert();
      });
    this.note = $('<div>').addClass('mask2seg-note').attr({ 'aria-live': 'polite' }).css({ margin: '0.5em' });
    this.box.append(this.button, this.note).insertBefore($('#' + this.level + '-delete').parent().parent());
  };

  /* The page is shown, perhaps for another series than the last time. */
  Panel.prototype.show = function (uuid) {
    var self = this;
    var visit = (this.visit += 1);
    this.uuid = ID.test(uuid || '') ? uuid : null;
    this.busy = false;
    this.note.empty();
    this.caption(CAPTIONS[this.level]);
    this.button.toggle(this.level === 'study');
    if (this.level !== 'series' || !this.uuid) {
      return;
    }
    request('GET', '/series/' + this.uuid, function (series) {
      if (visit !== self.visit) {
        return;
      }
      self.button.toggle(series.convertible === true);
      if (series.made_from) {
        self.madeFrom(series.made_from);
      } else if (series.job) {
        self.resume(series.job, visit);
      }
    }, function (problem, status) {
      if (visit === self.visit && status !== 404) {
        self.button.show();
        self.say(problem.error, problem.hint);
      }
    });
  };

  Panel.prototype.caption = function (text) {
    var inner = this.button.find('.ui-btn-text');
    (inner.length ? inner : this.button).text(text);
  };

  Panel.prototype.say = function () {
    var i;
    for (i = 0; i < arguments.length; i += 1) {
      if (arguments[i]) {
        this.note.append($('<p>').text(String(arguments[i])));
      }
    }
  };

  /* A link to a series. jQuery Mobile does not show one series page after another: the query makes the browser load
   * the page anew. */
  Panel.prototype.link = function (key, text) {
    if (!ID.test(key || '')) {
      return $('<span>').text(text);
    }
    return $('<a>')
      .attr({ href: 'explorer.html?mask2seg=' + key + '#series?uuid=' + key, rel: 'external' })
      .addClass('mask2seg-link')
      .text(text);
  };

  /* Where one output is opened: its series, or the file that Orthanc keeps beside that of the segmentation. */
  Panel.prototype.output = function (one) {
    var text = 'Open ' + (NAMES[one.kind] || one.kind);
    if (!FILE.test(one.file || '')) {
      return this.link(one.series, text);
    }
    return $('<a>').attr({ href: '..' + one.file, rel: 'external', target: '_blank' }).addClass('mask2seg-link').text(text);
  };

  /* The series as the user may see it: its description comes from Orthanc itself. */
  Panel.prototype.named = function (key, fallback) {
    var link = this.link(key, fallback);
    if (ID.test(key || '')) {
      $.ajax({ url: '../series/' + key, dataType: 'json', success: function (series) {
        var tags = (series && series.MainDicomTags) || {};
        var name = [tags.Modality, tags.SeriesDescription].join(' ');
        link.text(fallback + ' "' + $.trim(name) + '"');
      } });
    }
    return link;
  };

  Panel.prototype.madeFrom = function (origin) {
    var line = $('<p>').addClass('mask2seg-origin').text('Made by mask2seg from ');
    var i;
    for (i = 0; i < origin.masks.length; i += 1) {
      line.append(this.named(origin.masks[i], 'the mask series'), document.createTextNode(', '));
    }
    line.append(document.createTextNode('on the images of '), this.named(origin.source, 'the series'));
    this.note.append(line);
  };

  Panel.prototype.resume = function (job, visit) {
    if (ENDED[job.state]) {
      this.ended([job]);
    } else if (JOB.test(job.id)) {
      this.busy = true;
      this.follow([job.id], visit);
    }
  };

  Panel.prototype.convert = function () {
    var self = this;
    var visit = this.visit;
    var kind = this.level === 'study' ? 'studies' : 'series';
    if (this.busy || !this.uuid) {
      return;
    }
    this.busy = true;
    this.note.empty();
    this.caption('Asking ...');
    request('POST', '/' + kind + '/' + this.uuid + '/convert', function (asked) {
      var ids = $.grep($.map(asked.jobs || [asked], function (job) { return job.id; }), function (id) {
        return JOB.test(id);
      });
      if (visit !== self.visit) {
        return;
      }
      if (ids.length) {
        self.follow(ids, visit);
      } else {
        self.over('Nothing to convert', 'No series of this study looks like a mask.');
      }
    }, function (problem) {
      if (visit === self.visit) {
        self.over(problem.outcome === 'refused' ? 'Refused' : 'Failed', problem.error || problem.detail, problem.hint);
      }
    });
  };

  Panel.prototype.over = function (caption) {
    this.busy = false;
    this.caption(caption);
    this.say.apply(this, Array.prototype.slice.call(arguments, 1));
  };

  /* Ask again and again how the jobs are, and show it on the button. */
  Panel.prototype.follow = function (ids, visit) {
    var self = this;
    var failures = 0;
    var over = {};

    function next(i) {
      while (i < ids.length && over[ids[i]]) {
        i += 1;
      }
      if (visit !== self.visit) {
        return;
      }
      if (i >= ids.length) {
        self.ended($.map(ids, function (id) { return over[id]; }));
        return;
      }
      request('GET', '/jobs/' + ids[i], function (job) {
        failures = 0;
        if (visit !== self.visit) {
          return;
        }
        if (ENDED[job.state]) {
          over[ids[i]] = job;
          next(i + 1);
          return;
        }
        self.caption((ids.length > 1 ? (i + 1) + ' of ' + ids.length + ': ' : '') + words(job));
        later(i);
      }, function (problem) {
        failures += 1;
        if (visit !== self.visit) {
          return;
        }
        if (failures >= PATIENCE) {
          self.over('Unknown', problem.error, 'The job goes on; load this page again to see how it ended.');
          return;
        }
        self.caption('Waiting for mask2seg ...');
        later(i);
      });
    }

    function later(i) {
      window.setTimeout(function () { next(i); }, POLL_MS);
    }

    next(0);
  };

  Panel.prototype.ended = function (jobs) {
    var self = this;
    var converted = 0;
    this.note.empty();
    $.each(jobs, function (_i, job) {
      var answer = job.result || job.error || {};
      var links = job.links || {};
      converted += answer.outcome === 'converted' ? 1 : 0;
      if (jobs.length > 1) {
        self.note.append($('<p>').append(self.named(links.mask, 'Of'), document.createTextNode(': ' + words(job))));
      }
      $.each(links.made || [], function (_j, one) {
        self.note.append($('<p>').append(self.output(one)));
      });
      if (answer.outcome === 'converted') {
        self.say(answer.detail);
      } else {
        self.say((answer.reason ? answer.reason + ': ' : '') + (answer.detail || ''), answer.hint);
      }
    });
    this.busy = false;
    this.caption(jobs.length === 1 ? words(jobs[0]) : converted + ' of ' + jobs.length + ' converted');
  };

  $.each(['series', 'study'], function (_i, level) {
    var panel = new Panel(level);
    $('#' + level).live('pagebeforecreate', function () {
      panel.build();
    });
    $('#' + level).live('pagebeforeshow', function () {
      panel.show(($.mobile.pageData || {}).uuid);
    });
  });
}(jQuery));
