"""The platform as real processes under steady load, with kills: what grows is a finding."""
